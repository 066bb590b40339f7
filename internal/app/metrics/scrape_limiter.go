package metrics

import (
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"k8s.io/utils/lru"

	"github.com/apptoken/operator/internal/verify"
)

// requestLimiter limits the requests that reach the next handler, which may ask the API server
// about each. A source that floods it is rejected before it affects other sources.
type requestLimiter struct {
	next     http.Handler
	inFlight chan struct{}
	now      func() time.Time

	mu      sync.Mutex
	global  *rate.Limiter
	sources *lru.Cache // of *rate.Limiter, by prefix
}

func newRequestLimiter(next http.Handler, now func() time.Time) *requestLimiter {
	return &requestLimiter{
		next: next, inFlight: make(chan struct{}, maxInFlight), now: now,
		global: rate.NewLimiter(requestRate, requestBurst), sources: lru.New(maxSources),
	}
}

// ServeHTTP answers 429 to a source that sends too many requests, and 503 while too many requests
// are in flight.
func (g *requestLimiter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if !g.allow(r.RemoteAddr) {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many requests; try again later", http.StatusTooManyRequests)
		return
	}
	select {
	case g.inFlight <- struct{}{}:
		defer func() { <-g.inFlight }()
		g.next.ServeHTTP(w, r)
	default:
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many requests at once; try again later", http.StatusServiceUnavailable)
	}
}

// allow reports whether a request may pass. A source over its own limit does not use up the common
// limit.
func (g *requestLimiter) allow(remote string) bool {
	source, now := sourceOf(remote), g.now()
	g.mu.Lock()
	defer g.mu.Unlock()
	of, ok := g.sources.Get(source)
	if !ok {
		of = rate.NewLimiter(sourceRate, sourceBurst)
		g.sources.Add(source, of)
	}
	limiter, ok := of.(*rate.Limiter)
	return ok && limiter.AllowN(now, 1) && g.global.AllowN(now, 1)
}

// sourceOf returns the network that counts as one source. It is the zero Prefix if remote is no
// address.
func sourceOf(remote string) netip.Prefix {
	at, _ := netip.ParseAddrPort(remote) //nolint:errcheck // its address is the zero Addr then
	return verify.SourceNetwork(at.Addr().WithZone(""))
}
