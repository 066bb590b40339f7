package login

import (
	"errors"
	"sync"
	"time"

	"k8s.io/utils/lru"

	"github.com/apptoken/operator/internal/token"
)

// refreshing keeps those apart who present the same refresh token at the same time from those who present it again since
// they did not get the answer. Only the store can do that for all replicas; this is what one replica sees of it.
type refreshing struct {
	mu    sync.Mutex
	under map[token.Digest]rush // way, by the refresh token that is presented
	last  *lru.Cache            // rush by the refresh token that was, or may have been, exchanged
}

// rush is those who present one refresh token at once.
type rush struct {
	began  time.Time // when the first of them came
	ended  time.Time // when that was answered
	many   bool      // others came meanwhile
	served bool      // the first had success, or somebody elsewhere; otherwise it is not known what it came to
}

// rushHour is how long after the first somebody who comes while it is served is taken to belong to its rush, and how long after
// the end of a rush of many. Who comes later may have lost patience with the answer, and comes again.
const rushHour = time.Second

func newRefreshing(most int) *refreshing {
	return &refreshing{under: map[token.Digest]rush{}, last: lru.New(most)}
}

// begin lets one of those pass who present a refresh token at a time, and none that was there already when the one before it
// was served: ErrDenied. ErrUnavailable if it is too early to come again. It says whether this one does come again.
func (f *refreshing) begin(presented token.Digest, arrived time.Time) (again bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now, under := f.under[presented]; under {
		if arrived.Sub(now.began) >= rushHour {
			return false, unavailable(errors.New("the refresh token is being exchanged"))
		}
		now.many = true
		f.under[presented] = now
		return false, ErrDenied
	}
	was, again := f.last.Get(presented)
	if before, _ := was.(rush); before.served {
		together := arrived.Before(before.ended) && arrived.Sub(before.began) < rushHour
		if together || before.many && arrived.Sub(before.ended) < rushHour {
			return false, ErrDenied
		}
	}
	f.under[presented] = rush{began: arrived}
	return again, nil
}

// crowded says whether others have come while the one is served who passed.
func (f *refreshing) crowded(presented token.Digest) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.under[presented].many
}

// end lets the next one pass. tried says that something was written.
func (f *refreshing) end(presented token.Digest, now time.Time, tried, served bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if tried {
		r := f.under[presented]
		r.ended, r.served = now, served
		f.last.Add(presented, r)
	}
	delete(f.under, presented)
}
