package login

import (
	"errors"
	"sync"
	"time"

	"k8s.io/utils/lru"

	"github.com/apptoken/operator/internal/token"
)

// burstTracker distinguishes concurrent requests with one refresh token from retries by a client
// that did not get the response. Only the API server can do so for all replicas; this holds what
// one replica sees.
type burstTracker struct {
	mu         sync.Mutex
	inFlight   map[token.Digest]refreshBurst // exchanges under way, by the presented refresh token
	lastBursts *lru.Cache                    // last exchanges, by the refresh token that was, or may have been, exchanged
}

// refreshBurst is the set of concurrent requests with one refresh token.
type refreshBurst struct {
	startedAt   time.Time // when the first request arrived
	endedAt     time.Time // when the first request was answered
	isContended bool      // more requests arrived meanwhile
	// isServed reports that the first request succeeded, or one on another replica did. Otherwise
	// the outcome is not known.
	isServed bool
}

// burstWindow is the burst window. A request that arrives this soon after the first, while that is
// served, belongs to its burst. After the end of a burst of several requests the window applies
// once more. A later request may come from a client that gave up waiting for the response and tries
// again.
const burstWindow = time.Second

func newBurstTracker(most int) *burstTracker {
	return &burstTracker{inFlight: map[token.Digest]refreshBurst{}, lastBursts: lru.New(most)}
}

// begin admits one request with a refresh token at a time. It returns ErrDenied for a request that
// had arrived already when the previous one was served. It returns ErrUnavailable if a retry comes
// too early. again reports whether this replica may have exchanged the token before.
func (f *burstTracker) begin(presented token.Digest, arrived time.Time) (again bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now, under := f.inFlight[presented]; under {
		if arrived.Sub(now.startedAt) >= burstWindow {
			return false, unavailableError(errors.New("the refresh token is being exchanged"))
		}
		now.isContended = true
		f.inFlight[presented] = now
		return false, ErrDenied
	}
	was, again := f.lastBursts.Get(presented)
	if before, _ := was.(refreshBurst); before.isServed {
		together := arrived.Before(before.endedAt) && arrived.Sub(before.startedAt) < burstWindow
		if together || before.isContended && arrived.Sub(before.endedAt) < burstWindow {
			return false, ErrDenied
		}
	}
	f.inFlight[presented] = refreshBurst{startedAt: arrived}
	return again, nil
}

// isContended reports whether more requests arrived while the admitted one is served.
func (f *burstTracker) isContended(presented token.Digest) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.inFlight[presented].isContended
}

// end lets the next request pass. tried reports whether a write had begun.
func (f *burstTracker) end(presented token.Digest, now time.Time, tried, served bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if tried {
		r := f.inFlight[presented]
		r.endedAt, r.isServed = now, served
		f.lastBursts.Add(presented, r)
	}
	delete(f.inFlight, presented)
}
