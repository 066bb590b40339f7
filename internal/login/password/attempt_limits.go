package password

import (
	"crypto/sha256"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/utils/lru"
)

// LimitOptions configures Limits. Values below the minimum count as the minimum.
type LimitOptions struct {
	// Burst is how many attempts may be spent in a row, at least 1.
	Burst int
	// Every is how long it takes until one attempt is given back, at least a nanosecond.
	Every time.Duration
	// Keys is how many keys are remembered, at least 1. Beyond that number, the least recently used
	// key is forgotten and has all its attempts again. An attacker who wants to have a key
	// forgotten needs Keys failed attempts with other keys. Callers therefore limit the client's
	// address as well as the name, each with its own Limits.
	Keys int
}

// Limits counts attempts by key: failures, or whatever its callers spend. It is safe for concurrent
// use. Callers pass the current time.
type Limits struct {
	burst int
	every time.Duration

	mu       sync.Mutex // a key has one limiter: finding it and adding it are one step
	limiters *lru.Cache // of *rate.Limiter by digest of the key
}

// NewLimits returns Limits that remember no key.
func NewLimits(o LimitOptions) *Limits {
	return &Limits{burst: max(o.Burst, 1), every: max(o.Every, time.Nanosecond), limiters: lru.New(max(o.Keys, 1))}
}

// Allowed reports whether key has an attempt left at the instant now, and otherwise how long until
// it has one. It takes no attempt and adds no key. Call it before the check, and Spend after it.
func (l *Limits) Allowed(now time.Time, key string) (after time.Duration, ok bool) {
	limiter, known := l.find(key)
	if !known {
		return 0, true
	}
	missing := 1 - limiter.TokensAt(now)
	after = time.Duration(math.Round(missing * float64(l.every))) // rounded, because the tokens are not exact
	return max(after, 0), after <= 0
}

// Spend takes an attempt of key at the instant now, even if none is left. Concurrent attempts that
// were all allowed are all paid for, so trying many at once gains nothing.
func (l *Limits) Spend(now time.Time, key string) {
	l.limiter(key).ReserveN(now, 1)
}

// Take takes an attempt of key at the instant now, and reports whether one was left. Concurrent
// calls succeed no more often than attempts are left.
func (l *Limits) Take(now time.Time, key string) bool { return l.limiter(key).AllowN(now, 1) }

// find returns the limiter of key, if key has spent an attempt.
func (l *Limits) find(key string) (*rate.Limiter, bool) {
	found, known := l.limiters.Get(keyDigest(key))
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
	l.limiters.Add(keyDigest(key), limiter)
	return limiter
}

// keyDigest bounds the memory that a key takes. It also keeps out of memory what users type into
// the name field by mistake, such as a password.
func keyDigest(key string) [sha256.Size]byte { return sha256.Sum256([]byte(key)) }
