package audit

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/utils/lru"

	"github.com/apptoken/operator/internal/verify"
)

// Rate limits of the lines that callers can cause.
const (
	// A credential with a known record has a line a minute for each event, endpoint and verdict.
	tokenInterval = time.Minute
	// A known user has a line every ten seconds from each source, and a burst of five.
	userInterval, userBurst = 10 * time.Second, 5
	// A source has a line a second without a known credential or user, and a burst of ten.
	sourceInterval, sourceBurst = time.Second, 10
	// All callers together have ten lines a second for each event, endpoint and verdict, and a
	// burst of a hundred.
	groupInterval, groupBurst = time.Second / 10, 100

	// maxKeys is how many credentials, users and sources have a limit. An evicted one starts with a
	// full burst.
	maxKeys = 1 << 13
	// maxRevoked is how many revoked credentials have a limit.
	maxRevoked = 1 << 16
)

// limits decides which lines are written. A line spends from the limit of its credential, else of
// its user, else of its source, and only then from the common limit. So a single caller cannot use
// up the common one. The use of a revoked credential has a limit of its own and no common one, so
// that no flood hides it.
type limits struct {
	mu                              sync.Mutex
	tokens, revoked, users, sources *lru.Cache // *bucket by key
	groups                          map[summaryGroup]*bucket
	suppressedCounts                map[summaryGroup]int
}

func newLimits() *limits {
	return &limits{
		tokens: lru.New(maxKeys), revoked: lru.New(maxRevoked), users: lru.New(maxKeys), sources: lru.New(maxKeys),
		groups: map[summaryGroup]*bucket{}, suppressedCounts: map[summaryGroup]int{},
	}
}

// summaryGroup identifies the lines that a summary counts together. Groups are few, since no part
// of a group is chosen by a caller.
type summaryGroup struct {
	event             Event
	endpoint, verdict string
}

// limitKey identifies the lines that share a limit.
type limitKey struct {
	summaryGroup
	name    string
	network netip.Prefix
}

// bucket is a limit, with the number of lines that it has suppressed since the last line it
// admitted.
type bucket struct {
	limit      *rate.Limiter
	suppressed int
}

// admit reports whether a line is written, and returns how many lines it stands for, itself
// included.
func (m *limits) admit(now time.Time, line Line) (stands int, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	g := summaryGroup{line.Event, line.Endpoint, line.Verdict}
	own := m.bucketOf(g, line)
	if own.limit.AllowN(now, 1) && (line.Event == CredentialRevokedUse || m.groupBucket(g).limit.AllowN(now, 1)) {
		stands, own.suppressed = own.suppressed+1, 0
		return stands, true
	}
	own.suppressed++
	m.suppressedCounts[g]++
	return 0, false
}

// bucketOf returns the limit of the credential, the user or the source of a line.
func (m *limits) bucketOf(g summaryGroup, line Line) *bucket {
	network := networkOf(line)
	switch {
	case line.Event == CredentialRevokedUse:
		return bucketIn(m.revoked, limitKey{g, line.Token, netip.Prefix{}}, tokenInterval, 1)
	case line.Token != "":
		return bucketIn(m.tokens, limitKey{g, line.Token, netip.Prefix{}}, tokenInterval, 1)
	case line.User != "":
		return bucketIn(m.users, limitKey{g, line.User, network}, userInterval, userBurst)
	default:
		return bucketIn(m.sources, limitKey{g, "", network}, sourceInterval, sourceBurst)
	}
}

func bucketIn(c *lru.Cache, k limitKey, every time.Duration, burst int) *bucket {
	if b, ok := c.Get(k); ok {
		return b.(*bucket) //nolint:forcetypeassert // the cache holds nothing else
	}
	b := &bucket{limit: rate.NewLimiter(rate.Every(every), burst)}
	c.Add(k, b)
	return b
}

func (m *limits) groupBucket(g summaryGroup) *bucket {
	b := m.groups[g]
	if b == nil {
		b = &bucket{limit: rate.NewLimiter(rate.Every(groupInterval), groupBurst)}
		m.groups[g] = b
	}
	return b
}

// networkOf returns the network of the caller of a line. If the caller's address is unknown, it is
// the network of the connection.
func networkOf(line Line) netip.Prefix {
	if line.Source.IsValid() {
		return verify.SourceNetwork(line.Source)
	}
	return verify.SourceNetwork(line.Peer)
}
