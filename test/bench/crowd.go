package main

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
)

// home is where everybody asks from.
var home = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// crowd is an index of many records, with the texts of their tokens, and of session tokens the session ids.
type crowd struct {
	kind     token.Kind
	noon     time.Time // when the tokens were issued, and everything happens
	index    *verify.Index
	facts    verify.Facts // of each verification, but for the session
	texts    []string     // one behind the other in memory, so that what is measured is the index's way to its records and not the way to the texts
	sessions []string     // likewise
	bytes    float64      // of memory, for each record
}

// kindsOf are the kinds of token that are measured at a size: those of programs, and of logins the sessions, which take the most
// to verify; at the least of the sizes, others too.
func kindsOf(size int, sizes []int, others ...token.Kind) []token.Kind {
	kinds := []token.Kind{token.Application, token.Session}
	if size == slices.Min(sizes) {
		kinds = append(kinds, others...)
	}
	return kinds
}

// recordsOf is what records of a kind are called in the report.
func recordsOf(kind token.Kind) string {
	if kind == token.Application {
		return "records"
	}
	return strings.ToLower(kind.String()) + " tokens"
}

// gather mints tokens and takes their records in, in another order than that of the texts.
func gather(size int, kind token.Kind) (crowd, error) {
	c := crowd{
		kind: kind, noon: time.Now().Truncate(time.Second), index: &verify.Index{}, texts: make([]string, size),
		facts: verify.Facts{Permissions: []string{"search.query"}, Source: home},
	}
	digests := make([]token.Digest, size)
	texts := make([]byte, 0, size*token.Length)
	var ids []byte
	for i := range digests {
		minted, err := token.Mint(kind, rand.Reader)
		if err != nil {
			return crowd{}, err
		}
		texts, digests[i] = append(texts, minted.Reveal()...), minted.Digest()
		if kind == token.Session {
			ids = append(ids, uuid.NewString()...)
		}
	}
	c.texts = cut(string(texts), token.Length)
	c.sessions = cut(string(ids), verify.SessionLength)
	before := heap()
	c.index.SetClient(acme())
	for i := range size {
		i = i * 7919 % size // 7919 is prime
		r := c.record(i, digests[i])
		if kind != token.Application {
			c.index.SetUser(person(r))
		}
		c.index.Resume(r.Owner)
		c.index.Set(r)
	}
	if c.index.Len() != size {
		return crowd{}, fmt.Errorf("there are %d records, not %d", c.index.Len(), size)
	}
	for i, text := range c.texts { // what each of them holds is joined now, and not while time is taken
		facts := c.facts
		facts.Session = c.session(i)
		if _, verdict := c.index.Verify(c.noon, text, facts); verdict != verify.Good {
			return crowd{}, fmt.Errorf("a token is not good: %s", verdict)
		}
	}
	c.bytes = float64(heap()-before) / float64(size)
	runtime.KeepAlive(digests)
	return c, nil
}

// cut divides a text into parts of one length.
func cut(all string, length int) []string {
	parts := make([]string, len(all)/length)
	for i := range parts {
		parts[i] = all[i*length : (i+1)*length]
	}
	return parts
}

// session is the id that goes with a token; empty if none does.
func (c *crowd) session(i int) string {
	if c.kind != token.Session {
		return ""
	}
	return c.sessions[i]
}

// cookie is in what a browser sends it.
func (c *crowd) cookie(i int) string { return "SESSION=" + c.session(i) }

// record is one of the crowd.
func (c *crowd) record(i int, digest token.Digest) record.Record {
	if c.kind == token.Application {
		return realistic(i, digest, c.noon)
	}
	r := record.Record{
		Kind: c.kind, Digest: digest, Hint: strings.Clone("…x7Qd"),
		Owner:  record.Owner{Kind: strings.Clone("User"), Name: userOf(i), UID: fmt.Sprintf("00000000-0000-4000-8000-%012d", i/loginsPerUser)},
		Client: strings.Clone("acme-search"), User: userOf(i),
		Credential: strings.Clone("bf5d667ca89ee5d0dc028322f20e2d2f"),
		IssuedAt:   c.noon, CreatedAt: c.noon,
	}
	switch c.kind { // an open token has neither an end nor a session
	case token.Login:
		r.ExpiresAt = c.noon.Add(time.Hour)
	case token.Session:
		r.Session, r.IdleTimeout = verify.SessionDigest(c.session(i)), 30*time.Minute
		r.SourceRanges = []string{netip.PrefixFrom(home, home.BitLen()).String()}
	}
	return r
}

// userOf is the name of the user whose login has that number.
func userOf(i int) string { return fmt.Sprintf("user-%05d", i/loginsPerUser) }

// person is the user of a login.
func person(r record.Record) verify.User {
	return verify.User{
		Name: r.User, Username: strings.Clone(r.User), UID: r.Owner.UID, Credential: r.Credential,
		Accounts: map[string][]string{r.Client: {strings.Clone("developer"), strings.Clone("primary")}},
	}
}

func acme() verify.Client {
	return verify.Client{Name: "acme-search", Ceiling: grant.NewCeiling([]grant.Role{
		{Name: "developer", Permissions: []string{"sec.application-token.*", "sec.token.introspect"}},
		{Name: "primary", Permissions: []string{"search.*", "sec.continuous.rest"}},
	}), Draw: func(string, map[string]string) ([]string, bool) { return []string{"developer", "primary"}, true }}
}

// realistic is a record of an ApplicationToken, with texts of its own, as they come from the API server.
func realistic(i int, digest token.Digest, issued time.Time) record.Record {
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

// heap is what is in use after everything that can go is gone.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
