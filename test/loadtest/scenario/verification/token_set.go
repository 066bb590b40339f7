package verification

import (
	"crypto/rand"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/apptoken/operator/internal/grant"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
	"github.com/apptoken/operator/test/loadtest/scenario"
)

// loopbackAddress is the source address of all requests.
var loopbackAddress = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// tokenSet is an index of many records, with the texts of their tokens and, for session tokens, the
// session ids.
type tokenSet struct {
	kind     token.Kind
	noon     time.Time // the instant at which the tokens are issued and verified
	index    *verify.Index
	facts    verify.Facts // of each verification, except the session
	texts    []string     // adjacent in memory: the time measured is that of access to the records, not to the texts
	sessions []string     // likewise
	bytes    float64      // of memory per record
}

// kindsAt returns the kinds of token to measure at a size: application tokens, and session tokens,
// which take the longest to verify of the tokens of logins. At the smallest size it adds the
// others.
func kindsAt(size int, sizes []int, others ...token.Kind) []token.Kind {
	kinds := []token.Kind{token.Application, token.Session}
	if size == slices.Min(sizes) {
		kinds = append(kinds, others...)
	}
	return kinds
}

// recordsLabel returns how the report names records of a kind.
func recordsLabel(kind token.Kind) string {
	if kind == token.Application {
		return "records"
	}
	return strings.ToLower(kind.String()) + " tokens"
}

// newTokenSet mints tokens and puts their records into an index, in another order than that of the
// texts.
func newTokenSet(size int, kind token.Kind) (tokenSet, error) {
	c := tokenSet{
		kind: kind, noon: time.Now().Truncate(time.Second), index: &verify.Index{}, texts: make([]string, size),
		facts: verify.Facts{Permissions: []string{"search.query"}, Source: loopbackAddress},
	}
	digests := make([]token.Digest, size)
	texts := make([]byte, 0, size*token.Length)
	var ids []byte
	for i := range digests {
		minted, err := token.Mint(kind, rand.Reader)
		if err != nil {
			return tokenSet{}, err
		}
		texts, digests[i] = append(texts, minted.Reveal()...), minted.Digest()
		if kind == token.Session {
			ids = append(ids, uuid.NewString()...)
		}
	}
	c.texts = splitEvery(string(texts), token.Length)
	c.sessions = splitEvery(string(ids), verify.SessionLength)
	before := heapInUse()
	c.index.SetClient(verifyClient())
	for i := range size {
		i = i * 7919 % size // 7919 is prime
		r := c.record(i, digests[i])
		if kind != token.Application {
			c.index.SetUser(verifyUser(r))
		}
		c.index.Enable(r.Owner)
		c.index.Set(r)
	}
	if c.index.Len() != size {
		return tokenSet{}, fmt.Errorf("there are %d records, not %d", c.index.Len(), size)
	}
	for i, text := range c.texts { // the index joins and keeps the grants now, not during the measurement
		facts := c.facts
		facts.Session = c.session(i)
		if _, verdict := c.index.Verify(c.noon, text, facts); verdict != verify.Valid {
			return tokenSet{}, fmt.Errorf("a token is not good: %s", verdict)
		}
	}
	c.bytes = float64(heapInUse()-before) / float64(size)
	runtime.KeepAlive(digests)
	return c, nil
}

// splitEvery divides a text into parts of the same length.
func splitEvery(all string, length int) []string {
	parts := make([]string, len(all)/length)
	for i := range parts {
		parts[i] = all[i*length : (i+1)*length]
	}
	return parts
}

// session returns the session id of a token, or an empty text if its kind has none.
func (c *tokenSet) session(i int) string {
	if c.kind != token.Session {
		return ""
	}
	return c.sessions[i]
}

// cookie returns the cookie that holds the session id in a browser's request.
func (c *tokenSet) cookie(i int) string { return "SESSION=" + c.session(i) }

// record returns the record of token i.
func (c *tokenSet) record(i int, digest token.Digest) record.Record {
	if c.kind == token.Application {
		return applicationRecord(i, digest, c.noon)
	}
	r := record.Record{
		Kind: c.kind, Digest: digest, Hint: strings.Clone("…x7Qd"),
		Owner:  record.Owner{Kind: strings.Clone("User"), Name: scenario.UserName(i), UID: fmt.Sprintf("00000000-0000-4000-8000-%012d", i/scenario.LoginsPerUser)},
		Client: strings.Clone("acme-search"), User: scenario.UserName(i),
		Credential: strings.Clone("bf5d667ca89ee5d0dc028322f20e2d2f"),
		IssuedAt:   c.noon, CreatedAt: c.noon,
	}
	switch c.kind { // an open token has neither an end nor a session
	case token.Login:
		r.ExpiresAt = c.noon.Add(time.Hour)
	case token.Session:
		r.Session, r.IdleTimeout = verify.SessionDigest(c.session(i)), 30*time.Minute
		r.SourceRanges = []string{netip.PrefixFrom(loopbackAddress, loopbackAddress.BitLen()).String()}
	}
	return r
}

// verifyUser returns the user of a login.
func verifyUser(r record.Record) verify.User {
	return verify.User{
		Name: r.User, Username: strings.Clone(r.User), UID: r.Owner.UID, Credential: r.Credential,
		Accounts: map[string][]string{r.Client: {strings.Clone("developer"), strings.Clone("primary")}},
	}
}

func verifyClient() verify.Client {
	return verify.Client{Name: "acme-search", AllowsBasic: true, Ceiling: grant.NewCeiling([]grant.Role{
		{Name: "developer", Permissions: []string{"sec.application-token.*", "sec.token.introspect"}},
		{Name: "primary", Permissions: []string{"search.*", "sec.continuous.rest"}},
	}), Draw: func(string, map[string]string) ([]string, bool) { return []string{"developer", "primary"}, true }}
}

// applicationRecord returns a record of an ApplicationToken. Each of its texts has memory of its
// own, as if decoded from the API server.
func applicationRecord(i int, digest token.Digest, issued time.Time) record.Record {
	return record.Record{
		Kind: token.Application, Digest: digest, Hint: strings.Clone("…x7Qd"),
		Owner: record.Owner{
			Kind: strings.Clone("ApplicationToken"), Namespace: fmt.Sprintf("team-%03d", i%1000), Name: fmt.Sprintf("indexer-%07d", i),
			UID: fmt.Sprintf("00000000-0000-4000-8000-%012d", i),
		},
		Client:      strings.Clone("acme-search"),
		Roles:       []string{strings.Clone("developer"), strings.Clone("primary")},
		Permissions: []string{strings.Clone("search.query"), strings.Clone("sec.continuous.rest")},
		IssuedAt:    issued, ExpiresAt: issued.Add(2160 * time.Hour), CreatedAt: issued,
		Version: 2, Trigger: strings.Clone("2026-01-31"), Predecessor: digest.RecordName(),
	}
}

// heapInUse returns the bytes of heap in use after garbage collection.
func heapInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
