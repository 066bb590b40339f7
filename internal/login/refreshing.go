package login

import (
	"sync"
	"time"

	"k8s.io/utils/lru"

	"github.com/apptoken/operator/internal/token"
)

// refreshing keeps those apart who present the same refresh token at the same time from those who present it again since
// they did not get the answer. Only the store can do that for all replicas; this is what one replica sees of it.
type refreshing struct {
	mu    sync.Mutex
	under map[token.Digest]bool // way: whether somebody else came meanwhile
	last  *lru.Cache            // rush by family
}

// rush is when a session was last refreshed, and whether several came at once.
type rush struct {
	at   time.Time
	many bool
}

// rushHour is how long those are taken to belong to a rush who come after its first was served.
const rushHour = time.Second

func newRefreshing(most int) *refreshing {
	return &refreshing{under: map[token.Digest]bool{}, last: lru.New(most)}
}

// begin lets one request of a session pass at a time, and none that was there already when the one before it was served.
func (f *refreshing) begin(family token.Digest, arrived time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, under := f.under[family]; under {
		f.under[family] = true
		return false
	}
	if was, ok := f.last.Get(family); ok {
		before, _ := was.(rush)
		if arrived.Before(before.at) || before.many && arrived.Sub(before.at) < rushHour {
			return false
		}
	}
	f.under[family] = false
	return true
}

func (f *refreshing) end(family token.Digest, now time.Time, served bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if served {
		f.last.Add(family, rush{now, f.under[family]})
	}
	delete(f.under, family)
}
