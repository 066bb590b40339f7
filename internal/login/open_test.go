package login_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
)

func TestOpen_RecordHoldsTerms(t *testing.T) {
	base := func(k token.Kind) record.Record {
		return record.Record{
			Kind: k, Owner: record.Owner{Kind: "User", Name: "alice", UID: "uid of alice"}, Client: "acme", User: "alice",
			IssuedAt: noon, CreatedAt: noon,
		}
	}
	v6, zoned := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("fe80::1%eth0")
	for what, x := range map[string]struct {
		terms login.Terms
		want  func(*record.Record)
	}{
		"a login":             {login.Terms{Kind: token.Login}, func(r *record.Record) { r.ExpiresAt = noon.Add(time.Hour) }},
		"one of now and then": {login.Terms{Kind: token.Login, Lifetime: 99 * time.Hour}, func(r *record.Record) { r.ExpiresAt = noon.Add(time.Hour) }},
		"a remembered one":    {login.Terms{Kind: token.Login, Remember: true}, func(r *record.Record) { r.ExpiresAt = noon.Add(14 * 24 * time.Hour) }},
		"one to be refreshed": {login.Terms{Kind: token.Login, Refreshable: true}, func(r *record.Record) {
			r.ExpiresAt = noon.Add(time.Hour)
			r.Refresh = &record.Refresh{ExpiresAt: noon.Add(30 * 24 * time.Hour)}
		}},
		"a session without an end": {login.Terms{Kind: token.Session, Source: clientAddress}, func(r *record.Record) {
			r.IdleTimeout, r.SourceRanges = 30*time.Minute, []string{"192.0.2.7/32"}
		}},
		"a session with one": {login.Terms{Kind: token.Session, Source: v6, Lifetime: time.Minute}, func(r *record.Record) {
			r.IdleTimeout, r.SourceRanges, r.ExpiresAt = 30*time.Minute, []string{"2001:db8::1/128"}, noon.Add(time.Minute)
		}},
		"a session over IPv6 from IPv4": {login.Terms{Kind: token.Session, Source: netip.AddrFrom16(clientAddress.As16())}, func(r *record.Record) {
			r.IdleTimeout, r.SourceRanges = 30*time.Minute, []string{"192.0.2.7/32"}
		}},
		"a session from a zone": {login.Terms{Kind: token.Session, Source: zoned}, func(r *record.Record) {
			r.IdleTimeout, r.SourceRanges = 30*time.Minute, []string{"fe80::1/128"}
		}},
		"a session is not refreshed": {login.Terms{Kind: token.Session, Source: clientAddress, Refreshable: true}, func(r *record.Record) {
			r.IdleTimeout, r.SourceRanges = 30*time.Minute, []string{"192.0.2.7/32"}
		}},
		"an open one": {login.Terms{Kind: token.Open, Lifetime: 5 * time.Minute, Source: clientAddress, Remember: true}, func(r *record.Record) {
			r.ExpiresAt = noon.Add(5 * time.Minute)
		}},
	} {
		t.Run(what, func(t *testing.T) {
			w := newFixture(t)
			w.clock.advance(999 * time.Millisecond) // records hold whole seconds
			o, err := w.newReplica(nil).Open(t.Context(), w.alice(), w.client("acme"), x.terms)
			if err != nil {
				t.Fatal(err)
			}
			want := base(x.terms.Kind)
			x.want(&want)
			want.AuthenticatedAt = noon
			want.Digest, want.Hint, want.Credential, want.Version = o.Token.Digest(), o.Token.Hint(), w.alice().Credential, 1
			if want.Refresh != nil {
				want.Refresh.Digest, want.Refresh.Family = o.Refresh.Digest(), o.Refresh.Family().Digest()
			}
			if x.terms.Kind == token.Session {
				want.Session = verify.SessionDigest(o.Session)
			}
			held := w.allRecords()
			if len(held) != 1 || !reflect.DeepEqual(held[0], want) || !reflect.DeepEqual(o.Record, want) {
				t.Errorf("stored %+v\nreturned %+v\nwant %+v", held, o.Record, want)
			}
			if o.Token.Kind() != x.terms.Kind || (o.Refresh.Kind() == token.Refresh) != (want.Refresh != nil) || (o.Session != "") != (x.terms.Kind == token.Session) {
				t.Errorf("returned a %s, a %s and the session %q", o.Token.Kind(), o.Refresh.Kind(), o.Session)
			}
			checkNoSecrets(t, o, held[0])
		})
	}
}

// checkNoSecrets asserts that the secrets of a login are not in its record or in printed values
// [3.1], whole or in part.
func checkNoSecrets(t *testing.T, o login.Opened, r record.Record) {
	t.Helper()
	written := fmt.Sprintf("%+v %#v", r, r)
	if r.Refresh != nil {
		written += fmt.Sprintf("%+v %#v %x %x %x", *r.Refresh, *r.Refresh, r.Refresh.Digest, r.Refresh.Family, r.Refresh.Previous)
	}
	printed := fmt.Sprintf("%+v %#v", o.Token, o.Refresh) + written
	for what, secret := range map[string]string{"token": o.Token.Reveal(), "refresh token": o.Refresh.Reveal()} {
		if secret == "" {
			continue
		}
		for _, part := range []string{secret, secret[4:40], secret[4:20], fmt.Sprintf("%x", secret[4:20])} {
			if strings.Contains(printed, part) {
				t.Errorf("the %s is in %s", what, printed)
			}
		}
	}
	if o.Session != "" && strings.Contains(written, o.Session) {
		t.Errorf("the session id is in %s", written)
	}
}

// Terms that a client forbids are rejected before anything is written, and so are terms for a
// credential that could never be valid.
func TestOpen_ForbiddenTermsWriteNothing(t *testing.T) {
	end := 5 * time.Minute
	for what, x := range map[string]struct {
		open    login.OpenTokenPolicy
		terms   login.Terms
		allowed bool
	}{
		"forbidden, without an end":           {login.OpenForbidden, login.Terms{Kind: token.Open}, false},
		"forbidden, with an end":              {login.OpenForbidden, login.Terms{Kind: token.Open, Lifetime: end}, false},
		"expiring, without an end":            {login.OpenExpiring, login.Terms{Kind: token.Open}, false},
		"expiring, with an end":               {login.OpenExpiring, login.Terms{Kind: token.Open, Lifetime: end}, true},
		"expiring, with one before":           {login.OpenExpiring, login.Terms{Kind: token.Open, Lifetime: -end}, false}, // row 17
		"allowed, without an end":             {login.OpenAllowed, login.Terms{Kind: token.Open}, true},
		"a session is no open token":          {login.OpenForbidden, login.Terms{Kind: token.Session, Source: clientAddress}, true},
		"a login is no open token":            {login.OpenForbidden, login.Terms{Kind: token.Login}, true},
		"a session from nowhere":              {login.OpenAllowed, login.Terms{Kind: token.Session}, false},
		"a session from nowhere, with an end": {login.OpenAllowed, login.Terms{Kind: token.Session, Lifetime: end}, false},
	} {
		w := newFixture(t)
		c := w.client("acme")
		c.OpenPolicy = x.open
		s := w.newReplica(nil)
		o, err := s.Open(t.Context(), w.alice(), c, x.terms)
		if x.allowed {
			if err != nil || (x.terms.Kind == token.Open && x.terms.Lifetime == 0) != o.Record.ExpiresAt.IsZero() && x.terms.Kind != token.Session {
				t.Errorf("%s: %v, until %s", what, err, o.Record.ExpiresAt)
			}
			continue
		}
		if f, ok := errors.AsType[*login.Forbidden](err); !ok || f.Error() == "" || s.store.calls != 0 || o.Token.Reveal() != "" {
			t.Errorf("%s: %v, and %d calls of the store", what, err, s.store.calls)
		}
	}
}

// Threats row 17: an invalid duration never means for ever.
func TestOpen_InvalidLifetimeNeverMeansForever(t *testing.T) {
	for what, x := range map[string]struct {
		but   func(*login.Client)
		terms login.Terms
	}{
		"a client without a lifetime":            {func(c *login.Client) { c.LoginLifetime = 0 }, login.Terms{Kind: token.Login}},
		"a client with one before":               {func(c *login.Client) { c.LoginLifetime = -1 }, login.Terms{Kind: token.Login}},
		"a client without one of the remembered": {func(c *login.Client) { c.RememberedLifetime = 0 }, login.Terms{Kind: token.Login, Remember: true}},
		"a session that asks for one before":     {func(*login.Client) {}, login.Terms{Kind: token.Session, Source: clientAddress, Lifetime: -time.Hour}},
		"an open one that asks for one before":   {func(c *login.Client) { c.OpenPolicy = login.OpenAllowed }, login.Terms{Kind: token.Open, Lifetime: -time.Hour}},
	} {
		w := newFixture(t)
		c := w.client("acme")
		x.but(&c)
		o, err := w.newReplica(nil).Open(t.Context(), w.alice(), c, x.terms)
		if err == nil && (o.Record.ExpiresAt.IsZero() || o.Record.ExpiresAt.After(noon)) {
			t.Errorf("%s: until %s", what, o.Record.ExpiresAt)
		}
	}
}

func TestOpen_FailedEntropyOpensNothing(t *testing.T) {
	w := newFixture(t)
	for kind, need := range map[*login.Terms]int{
		{Kind: token.Login}:                          32,
		{Kind: token.Login, Refreshable: true}:       32 + 16 + 16,
		{Kind: token.Session, Source: clientAddress}: 32 + 16,
		{Kind: token.Open, Lifetime: 1}:              32,
	} {
		for n := range need + 1 {
			s := w.newReplica(nil)
			random := make([]byte, n)
			if _, err := rand.Read(random); err != nil {
				t.Fatal(err)
			}
			s.Entropy = bytes.NewReader(random)
			before := len(w.allRecords())
			o, err := s.Open(t.Context(), w.alice(), w.client("acme"), *kind)
			switch {
			case n == need && err != nil:
				t.Errorf("%+v with %d bytes: %v", kind, n, err)
			case n < need && (!errors.Is(err, login.ErrUnavailable) || o.Token.Reveal() != "" || len(w.allRecords()) != before || s.store.calls != 0):
				t.Errorf("%+v with %d bytes: %v, and %d calls of the store", kind, n, err, s.store.calls)
			}
		}
	}
}

func TestOpened_GUIDIsUUIDv8(t *testing.T) {
	w := newFixture(t)
	s := w.newReplica(nil)
	seen := map[string]bool{}
	v8 := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	for range 10 {
		o := s.openRefreshable()
		if !v8.MatchString(o.GUID()) || seen[o.GUID()] {
			t.Errorf("%q", o.GUID())
		}
		seen[o.GUID()] = true
	}
}

// If the store fails to add the record, no login was opened. If it fails to count logins, or to end
// the excess logins, the login was opened all the same.
func TestOpen_SucceedsIfRecordIsStored(t *testing.T) {
	for name, want := range map[string]bool{"Add": false, "Of": true, "RetireAnyway": true} {
		w := newFixture(t)
		s := w.newReplica(nil)
		c := w.client("acme")
		c.MaxSessions = 1
		w.directory.SetClient(c)
		before := s.open("acme", login.Terms{Kind: token.Login})
		s.store.faultAt = func(_ int, call string) fault {
			if call == name {
				return failBefore
			}
			return noFault
		}
		o, err := s.Open(t.Context(), w.alice(), w.client("acme"), login.Terms{Kind: token.Login})
		if (err == nil) != want || (len(w.allRecords()) == 2) != want || !w.isValid(before) || want && !w.isValid(o) || !want && !errors.Is(err, login.ErrUnavailable) {
			t.Errorf("%s fails: %v, and %d records", name, err, len(w.allRecords()))
		}
	}
}
