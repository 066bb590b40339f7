package password

import (
	"crypto/sha256"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/utils/lru"
)

// LimitOptions of Limits. What is less than the least counts as the least.
type LimitOptions struct {
	// Burst is how many attempts may be spent in a row, at least 1.
	Burst int
	// Every is how long it takes until one of them is given back, at least a nanosecond.
	Every time.Duration
	// Keys is how many keys are remembered, at least 1. Beyond them the one that was asked for longest ago is forgotten, and
	// has all its attempts again. To make us forget one on purpose takes Keys failed attempts with other keys: limit the
	// address of whoever tries as well as the name that is tried, each by Limits of its own.
	Keys int
}

// Limits counts attempts by key: failures, or whatever its callers spend. It is safe for many goroutines. Time is what its
// callers say it is.
type Limits struct {
	burst int
	every time.Duration

	mu       sync.Mutex // a key has one limiter: looking it up and adding it are one step
	limiters *lru.Cache // of *rate.Limiter by digest
}

// NewLimits returns Limits that remember no key.
func NewLimits(o LimitOptions) *Limits {
	return &Limits{burst: max(o.Burst, 1), every: max(o.Every, time.Nanosecond), limiters: lru.New(max(o.Keys, 1))}
}

// Allowed says whether key has an attempt left at the instant now, and otherwise after how long it has one. It takes none, and
// remembers no key. Ask it before the check, and call Spend after it.
func (l *Limits) Allowed(now time.Time, key string) (after time.Duration, ok bool) {
	limiter, known := l.find(key)
	if !known {
		return 0, true
	}
	missing := 1 - limiter.TokensAt(now)
	after = time.Duration(math.Round(missing * float64(l.every))) // rounded, because the tokens are not exact
	return max(after, 0), after <= 0
}

// Spend takes an attempt of key at the instant now, even one that it has not: attempts that were allowed together are all
// paid for, so that trying many at once gains nothing.
func (l *Limits) Spend(now time.Time, key string) {
	l.limiter(key).ReserveN(now, 1)
}

// Take takes an attempt of key at the instant now, and reports whether there was one left. Of attempts that come together, no
// more succeed than are left.
func (l *Limits) Take(now time.Time, key string) bool { return l.limiter(key).AllowN(now, 1) }

// find returns the limiter of key, if it has spent before.
func (l *Limits) find(key string) (*rate.Limiter, bool) {
	found, known := l.limiters.Get(digest(key))
	if !known {
		return nil, false
	}
	limiter, is := found.(*rate.Limiter)
	return limiter, is
}

// limiter returns the limiter of key, and makes one if there is none.
func (l *Limits) limiter(key string) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if limiter, known := l.find(key); known {
		return limiter
	}
	limiter := rate.NewLimiter(rate.Every(l.every), l.burst)
	l.limiters.Add(digest(key), limiter)
	return limiter
}

// digest bounds what a key takes. It also keeps out of memory what people type into the field of the name by mistake.
func digest(key string) [sha256.Size]byte { return sha256.Sum256([]byte(key)) }
