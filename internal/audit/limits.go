package audit

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/utils/lru"

	"github.com/apptoken/operator/internal/verify"
)

// Limits of the lines that callers can bring about.
const (
	// A credential whose record is known has a line a minute for each event, endpoint and verdict.
	tokenInterval = time.Minute
	// A known user has a line every ten seconds from each source, and five at first.
	userInterval, userBurst = 10 * time.Second, 5
	// A source has a line a second about what is not known, and ten at first.
	sourceInterval, sourceBurst = time.Second, 10
	// All callers together have ten lines a second for each event, endpoint and verdict, and a hundred at first.
	groupInterval, groupBurst = time.Second / 10, 100

	// maxKeys is how many credentials, users and sources are remembered. One that is forgotten has a line again.
	maxKeys = 1 << 13
	// maxRevoked is how many revoked credentials are remembered.
	maxRevoked = 1 << 16
)

// limits decide which lines are written. A caller spends from the limit of the credential, else of the user, else of the
// source, and only then from the one that is common to all: so that a single caller cannot use that up. The use of a
// revoked credential has a limit of its own and no common one, so that nothing else hides it.
type limits struct {
	mu                              sync.Mutex
	tokens, revoked, users, sources *lru.Cache // of *bucket, by key
	groups                          map[group]*bucket
	leftOut                         map[group]int
}

func newLimits() *limits {
	return &limits{
		tokens: lru.New(maxKeys), revoked: lru.New(maxRevoked), users: lru.New(maxKeys), sources: lru.New(maxKeys),
		groups: map[group]*bucket{}, leftOut: map[group]int{},
	}
}

// group is what the lines of a summary have in common. There are few, since none of it is the caller's.
type group struct {
	event             Event
	endpoint, verdict string
}

// key is whose lines are limited together.
type key struct {
	group
	name    string
	network netip.Prefix
}

// bucket is a limit, and how many lines were left out by it since the last one that was not.
type bucket struct {
	limit   *rate.Limiter
	leftOut int
}

// admit decides whether a line is written, and for how many lines it stands, itself among them.
func (m *limits) admit(now time.Time, line Line) (stands int, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	g := group{line.Event, line.Endpoint, line.Verdict}
	own := m.bucketOf(g, line)
	if own.limit.AllowN(now, 1) && (line.Event == CredentialRevokedUse || m.common(g).limit.AllowN(now, 1)) {
		stands, own.leftOut = own.leftOut+1, 0
		return stands, true
	}
	own.leftOut++
	m.leftOut[g]++
	return 0, false
}

// bucketOf returns the limit of the credential, the user or the source of a line.
func (m *limits) bucketOf(g group, line Line) *bucket {
	network := networkOf(line)
	switch {
	case line.Event == CredentialRevokedUse:
		return bucketIn(m.revoked, key{g, line.Token, netip.Prefix{}}, tokenInterval, 1)
	case line.Token != "":
		return bucketIn(m.tokens, key{g, line.Token, netip.Prefix{}}, tokenInterval, 1)
	case line.User != "":
		return bucketIn(m.users, key{g, line.User, network}, userInterval, userBurst)
	default:
		return bucketIn(m.sources, key{g, "", network}, sourceInterval, sourceBurst)
	}
}

func bucketIn(c *lru.Cache, k key, every time.Duration, burst int) *bucket {
	if b, ok := c.Get(k); ok {
		return b.(*bucket) //nolint:forcetypeassert // nothing else is put there
	}
	b := &bucket{limit: rate.NewLimiter(rate.Every(every), burst)}
	c.Add(k, b)
	return b
}

func (m *limits) common(g group) *bucket {
	b := m.groups[g]
	if b == nil {
		b = &bucket{limit: rate.NewLimiter(rate.Every(groupInterval), groupBurst)}
		m.groups[g] = b
	}
	return b
}

// networkOf returns the network of the caller of a line. Where the caller's address is unknown, it is the connection's.
func networkOf(line Line) netip.Prefix {
	if line.Source.IsValid() {
		return verify.SourceNetwork(line.Source)
	}
	return verify.SourceNetwork(line.Peer)
}
