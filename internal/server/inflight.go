package server

import (
	"hash/maphash"
	"net/http"
	"net/netip"
	"sync/atomic"

	"github.com/apptoken/operator/internal/verify"
)

// Shares of the requests in flight.
const (
	// verifyShare is the part that is for verification alone: a quarter. Requests that wait for passwords or for the API server
	// cannot take it.
	verifyShare = 4
	// inFlightShare is the part that one source has at most: a quarter. So a source that sends or reads slowly leaves the rest
	// to others.
	inFlightShare = 4
)

// InFlight bounds how many requests a replica answers at once, in all and of each source. The zero InFlight, and nil, have no
// bound. It takes no lock, allocates nothing and never grows. Two sources may share one slot; each process draws the slots anew.
type InFlight struct {
	max     int64
	refused func()
	now     atomic.Int64
	seed    maphash.Seed
	slots   [1 << 12]atomic.Int64 // of sources
}

// NewInFlight returns a bound, and tells refused of each request beyond it.
func NewInFlight(most int, refused func()) *InFlight {
	return &InFlight{max: int64(most), refused: refused, seed: maphash.MakeSeed()}
}

func (f *InFlight) slot(source netip.Addr) *atomic.Int64 {
	return &f.slots[maphash.Comparable(f.seed, verify.SourceNetwork(source))%uint64(len(f.slots))]
}

// enter counts a request of a source, if it is within the bounds. One that is counted must leave. The zero Addr
// stands for a trusted gateway, which asks on behalf of many callers: it has no bound of its own.
func (f *InFlight) enter(isVerification bool, source netip.Addr) bool {
	if f == nil || f.max == 0 {
		return true
	}
	most := f.max
	if !isVerification {
		most -= f.max / verifyShare
	}
	if f.now.Add(1) <= most {
		if !source.IsValid() {
			return true
		}
		slot := f.slot(source)
		if slot.Add(1) <= max(f.max/inFlightShare, 1) {
			return true
		}
		slot.Add(-1)
	}
	f.now.Add(-1)
	f.refused()
	return false
}

func (f *InFlight) leave(source netip.Addr) {
	if f == nil || f.max == 0 {
		return
	}
	f.now.Add(-1)
	if source.IsValid() {
		f.slot(source).Add(-1)
	}
}

// within answers requests within the bounds, and refuses others at once.
func (d *Doors) within(next *routes, isVerification func(path string) bool) http.Handler {
	if d.InFlight == nil || d.InFlight.max == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		source := d.caller(r)
		if !d.InFlight.enter(isVerification(r.URL.Path), source) {
			w.Header()["Retry-After"] = soon
			problem(w, http.StatusServiceUnavailable, "temporarily_unavailable", "too many requests are being answered; ask again")
			return
		}
		defer d.InFlight.leave(source)
		next.ServeHTTP(w, r)
	})
}
