package server

import (
	"net/http"
	"sync/atomic"
)

// verifyShare is the part of the requests in flight that is for verification alone: a quarter. What waits for passwords or for
// the API server cannot take it.
const verifyShare = 4

// InFlight bounds how many requests a replica answers at once. The zero InFlight, and nil, have no bound. It takes no lock.
type InFlight struct {
	max     int64
	refused func()
	now     atomic.Int64
}

// NewInFlight returns a bound, and tells refused of each request beyond it.
func NewInFlight(most int, refused func()) *InFlight {
	return &InFlight{max: int64(most), refused: refused}
}

// enter counts a request, if it is within the bound. One that is counted must leave.
func (f *InFlight) enter(isVerification bool) bool {
	if f == nil || f.max == 0 {
		return true
	}
	most := f.max
	if !isVerification {
		most -= f.max / verifyShare
	}
	if f.now.Add(1) <= most {
		return true
	}
	f.now.Add(-1)
	f.refused()
	return false
}

func (f *InFlight) leave() {
	if f != nil && f.max > 0 {
		f.now.Add(-1)
	}
}

// within answers requests within the bound, and refuses others at once.
func (f *InFlight) within(next *routes, isVerification func(path string) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !f.enter(isVerification(r.URL.Path)) {
			w.Header()["Retry-After"] = soon
			problem(w, http.StatusServiceUnavailable, "temporarily_unavailable", "too many requests are being answered; ask again")
			return
		}
		defer f.leave()
		next.ServeHTTP(w, r)
	})
}
