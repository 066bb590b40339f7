package server

import (
	"hash/maphash"
	"net/http"
	"net/netip"
	"sync/atomic"

	"github.com/apptoken/operator/internal/server/endpoint"
	"github.com/apptoken/operator/internal/verify"
)

// Divisors of the requests in flight.
const (
	// verifyShare is the divisor of the part that is reserved for verification: a quarter. Requests
	// that wait for password checks or for the API server cannot take it.
	verifyShare = 4
	// inFlightShare is the divisor of the part that one source may have: a quarter. So a source
	// that sends or reads slowly leaves the rest to others.
	inFlightShare = 4
)

// InFlight limits how many requests a replica serves at once, in total and for each source. The
// zero InFlight and nil have no limit. It takes no lock, allocates nothing and never grows. Two
// sources may share a slot; the seed of the slots changes with each process.
type InFlight struct {
	max     int64
	refused func()
	current atomic.Int64
	seed    maphash.Seed
	slots   [1 << 12]atomic.Int64 // counts by source
}

// NewInFlight returns a limit of most requests. It calls refused for each request beyond the limit.
func NewInFlight(most int, refused func()) *InFlight {
	return &InFlight{max: int64(most), refused: refused, seed: maphash.MakeSeed()}
}

func (f *InFlight) slot(source netip.Addr) *atomic.Int64 {
	return &f.slots[maphash.Comparable(f.seed, verify.SourceNetwork(source))%uint64(len(f.slots))]
}

// enter counts a request of a source and reports whether it is within the limits. A counted request
// must leave. The zero Addr stands for a trusted gateway, which has no limit of its own: it calls
// on behalf of many callers.
func (f *InFlight) enter(isVerification bool, source netip.Addr) bool {
	if f == nil || f.max == 0 {
		return true
	}
	most := f.max
	if !isVerification {
		most -= f.max / verifyShare
	}
	if f.current.Add(1) <= most {
		if !source.IsValid() {
			return true
		}
		slot := f.slot(source)
		if slot.Add(1) <= max(f.max/inFlightShare, 1) {
			return true
		}
		slot.Add(-1)
	}
	f.current.Add(-1)
	f.refused()
	return false
}

// admitsWait reports whether a verification may wait for a password check. Such a verification
// cannot take the part that is reserved for those that do not wait.
func (f *InFlight) admitsWait() bool {
	return f == nil || f.max == 0 || f.current.Load() <= f.max-f.max/verifyShare
}

func (f *InFlight) leave(source netip.Addr) {
	if f == nil || f.max == 0 {
		return
	}
	f.current.Add(-1)
	if source.IsValid() {
		f.slot(source).Add(-1)
	}
}

// limitInFlight returns a handler that serves requests within the limits, and refuses others at
// once with a 503.
func (e *Endpoints) limitInFlight(next *routes, isVerification func(path string) bool) http.Handler {
	if e.InFlight == nil || e.InFlight.max == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		source := e.LimitAddress(r)
		if !e.InFlight.enter(isVerification(r.URL.Path), source) {
			w.Header()["Retry-After"] = endpoint.RetryAfterSoon
			endpoint.WriteError(w, http.StatusServiceUnavailable, "temporarily_unavailable", "too many requests are being answered; ask again")
			return
		}
		defer e.InFlight.leave(source)
		next.ServeHTTP(w, r)
	})
}
