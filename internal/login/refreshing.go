package login

import (
	"errors"
	"sync"
	"time"

	"k8s.io/utils/lru"

	"github.com/apptoken/operator/internal/token"
)

// refreshing tells concurrent requests with one refresh token from retries by a client that did not
// get the response. Only the API server can do so for all replicas; this holds what one replica
// sees.
type refreshing struct {
	mu    sync.Mutex
	under map[token.Digest]rush // exchanges under way, by the presented refresh token
	last  *lru.Cache            // last exchanges, by the refresh token that was, or may have been, exchanged
}

// rush is the set of concurrent requests with one refresh token.
type rush struct {
	began time.Time // when the first request arrived
	ended time.Time // when the first request was answered
	many  bool      // more requests arrived meanwhile
	// served reports that the first request succeeded, or one on another replica did. Otherwise the
	// outcome is not known.
	served bool
}

// rushHour is the burst window. A request that arrives this soon after the first, while that is
// served, belongs to its burst. After the end of a burst of several requests the window applies
// once more. A later request may come from a client that gave up waiting for the response and tries
// again.
const rushHour = time.Second

func newRefreshing(most int) *refreshing {
	return &refreshing{under: map[token.Digest]rush{}, last: lru.New(most)}
}

// begin admits one request with a refresh token at a time. It returns ErrDenied for a request that
// had arrived already when the previous one was served. It returns ErrUnavailable if a retry comes
// too early. again reports whether this replica may have exchanged the token before.
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

// crowded reports whether more requests arrived while the admitted one is served.
func (f *refreshing) crowded(presented token.Digest) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.under[presented].many
}

// end lets the next request pass. tried reports whether a write had begun.
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
