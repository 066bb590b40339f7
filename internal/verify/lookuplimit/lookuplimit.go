package verify

import (
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"
)

// SourceNetwork returns the network that limits count as one source. It is an IPv4 address, or the
// IPv6 network of 64 bits that one subscriber has. It is the zero Prefix for the zero Addr.
func SourceNetwork(a netip.Addr) netip.Prefix {
	a = a.Unmap() // all of IPv4 is in one IPv6 network
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) //nolint:errcheck // it fails for the zero Addr alone, whose Prefix is the zero one
	return p
}

// sourceLimits limits how many look-ups one source causes, so that one unauthenticated source does
// not use up the look-ups of all. It takes no lock, allocates nothing and never grows. Two sources
// may share a slot, and which two changes with each process.
type sourceLimits struct {
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

// newSourceLimits returns the limits for a total of that many look-ups a second.
func newSourceLimits(reads int) *sourceLimits {
	burst := max(reads/sourceShareDivisor, 1)
	return &sourceLimits{seed: maphash.MakeSeed(), every: time.Second / time.Duration(burst), burst: int64(burst)}
}

func (s *sourceLimits) index(source netip.Addr) uint64 {
	return maphash.Comparable(s.seed, SourceNetwork(source)) % uint64(len(s.slots))
}

func (s *sourceLimits) slot(source netip.Addr) *atomic.Int64 { return &s.slots[s.index(source)] }

// startWaiting counts a waiting request of a source, and reports whether it may wait. A request
// that may wait must call stopWaiting.
func (s *sourceLimits) startWaiting(source netip.Addr) bool {
	waiting := &s.waiting[s.index(source)]
	if waiting.Add(1) <= maxWaitingPerSource {
		return true
	}
	waiting.Add(-1)
	return false
}

func (s *sourceLimits) stopWaiting(source netip.Addr) { s.waiting[s.index(source)].Add(-1) }

// hasLeft reports whether a source has a look-up left.
func (s *sourceLimits) hasLeft(now time.Time, source netip.Addr) bool {
	return s.slot(source).Load()-now.UnixNano() <= (s.burst-1)*int64(s.every)
}

// take takes a look-up of a source, and reports whether there was one.
func (s *sourceLimits) take(now time.Time, source netip.Addr) bool {
	for slot, at := s.slot(source), now.UnixNano(); ; {
		full := slot.Load()
		if full-at > (s.burst-1)*int64(s.every) {
			return false
		}
		if slot.CompareAndSwap(full, max(full, at)+int64(s.every)) {
			return true
		}
	}
}
