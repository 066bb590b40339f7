package lookuplimit

import (
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"
)

// Limits counts the look-ups of each source, which is a network of addresses. It takes no lock,
// allocates nothing and never grows. Two sources may share a slot, and which two changes with each
// process.
type Limits struct {
	seed  maphash.Seed
	every time.Duration // until one look-up is given back
	burst int64
	slots [1 << 12]atomic.Int64 // when the source has its whole burst again, in Unix nanoseconds

	waiting [1 << 12]atomic.Int64 // how many requests of the source wait for a look-up
}

const (
	// sourceShareDivisor is the divisor for the share of all look-ups that one source may cause.
	sourceShareDivisor = 4
	// maxWaitingPerSource is how many requests of one source wait for look-ups at once, for the
	// same token or for several. While the API server is slow, each waits for seconds. A source
	// with one unknown token would otherwise displace all others.
	maxWaitingPerSource = 128
)

// New returns the limits for a total of that many look-ups a second.
func New(reads int) *Limits {
	burst := max(reads/sourceShareDivisor, 1)
	return &Limits{seed: maphash.MakeSeed(), every: time.Second / time.Duration(burst), burst: int64(burst)}
}

func (l *Limits) index(source netip.Prefix) uint64 {
	return maphash.Comparable(l.seed, source) % uint64(len(l.slots))
}

func (l *Limits) slot(source netip.Prefix) *atomic.Int64 { return &l.slots[l.index(source)] }

// StartWaiting counts a waiting request of a source, and reports whether it may wait. A request
// that may wait must call StopWaiting.
func (l *Limits) StartWaiting(source netip.Prefix) bool {
	waiting := &l.waiting[l.index(source)]
	if waiting.Add(1) <= maxWaitingPerSource {
		return true
	}
	waiting.Add(-1)
	return false
}

// StopWaiting ends the wait of a request.
func (l *Limits) StopWaiting(source netip.Prefix) { l.waiting[l.index(source)].Add(-1) }

// HasLeft reports whether a source has a look-up left.
func (l *Limits) HasLeft(now time.Time, source netip.Prefix) bool {
	return l.slot(source).Load()-now.UnixNano() <= (l.burst-1)*int64(l.every)
}

// Take takes a look-up of a source, and reports whether there was one.
func (l *Limits) Take(now time.Time, source netip.Prefix) bool {
	for slot, at := l.slot(source), now.UnixNano(); ; {
		full := slot.Load()
		if full-at > (l.burst-1)*int64(l.every) {
			return false
		}
		if slot.CompareAndSwap(full, max(full, at)+int64(l.every)) {
			return true
		}
	}
}
