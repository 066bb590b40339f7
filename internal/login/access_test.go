package login_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify/verifytest"
)

// addParent stores the record of an application token of acme.
func (w *fixture) addParent(label string, twist func(*record.Record)) record.Record {
	w.t.Helper()
	r := record.Record{
		Kind: token.Application, Digest: verifytest.Mint(w.t, token.Application, label).Digest(), Client: "acme", IssuedAt: noon, Roles: []string{"primary"},
		Owner: record.Owner{Kind: "ApplicationToken", Namespace: "shop", Name: label, UID: "1"},
	}
	if twist != nil {
		twist(&r)
	}
	r, err := w.newReplica(nil).store.Add(w.t.Context(), r)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func TestOpenAccess_EndsWithClientPolicyAndParent(t *testing.T) {
	for name, x := range map[string]struct {
		lifetime, left, want time.Duration
	}{
		"by the client":      {15 * time.Minute, 0, 15 * time.Minute},
		"by the parent":      {time.Hour, time.Minute, time.Minute},
		"at most an hour":    {24 * time.Hour, 0, time.Hour},
		"by neither of them": {time.Hour, 24 * time.Hour, time.Hour},
	} {
		w := newFixture(t)
		parent := w.addParent(name, func(r *record.Record) {
			if x.left > 0 {
				r.ExpiresAt = noon.Add(x.left)
			}
		})
		c := w.client("acme")
		c.LoginLifetime = x.lifetime
		o, err := w.newReplica(nil).OpenAccess(t.Context(), parent.Digest, c, []string{"search.query"})
		if err != nil {
			t.Fatal(err)
		}
		r := o.Record
		if !r.ExpiresAt.Equal(noon.Add(x.want)) || r.Kind != token.Access || r.Parent != parent.Digest || r.Client != "acme" || r.Refresh != nil || len(r.Roles) > 0 {
			t.Errorf("%s: %+v", name, r)
		}
		checkNoSecrets(t, o, r)
	}
}

func TestOpenAccess_OnlyForStoredApplicationTokens(t *testing.T) {
	w := newFixture(t)
	s := w.newReplica(nil)
	parent := w.addParent("parent", nil)
	o, err := s.OpenAccess(t.Context(), parent.Digest, w.client("acme"), nil)
	if err != nil {
		t.Fatal(err)
	}
	ofUser := w.addParent("of a user", func(r *record.Record) { r.Kind, r.User = token.UserApplication, "alice" })
	before := len(w.allRecords())
	for name, d := range map[string]token.Digest{
		"an access token":   o.Token.Digest(),
		"a token of a user": ofUser.Digest,
		"a login":           s.openRefreshable().Token.Digest(),
		"an unknown token":  verifytest.Mint(t, token.Application, "other").Digest(),
	} {
		if _, err := s.OpenAccess(t.Context(), d, w.client("acme"), nil); !errors.Is(err, login.ErrDenied) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(w.allRecords()); n != before+1 {
		t.Errorf("%d records, want %d", n, before+1)
	}
}

// Threats row 21: concurrent replicas keep the bound too, of each application token by itself.
func TestOpenAccess_NumberIsBounded(t *testing.T) {
	w := newFixture(t)
	parents := []record.Record{w.addParent("one", nil), w.addParent("other", nil)}
	replicas := []*testReplica{w.newReplica(nil), w.newReplica(nil)}
	for range login.MaxAccessTokens/4 + 5 {
		w.clock.advance(time.Second)
		var all sync.WaitGroup
		for _, s := range replicas {
			for _, parent := range parents {
				for range 2 {
					all.Go(func() {
						if _, err := s.OpenAccess(t.Context(), parent.Digest, w.client("acme"), nil); err != nil {
							t.Error(err)
						}
					})
				}
			}
		}
		all.Wait()
	}
	counts := map[string]int{}
	for _, r := range w.allRecords() {
		if r.Kind == token.Access {
			counts[r.Owner.Name]++
		}
	}
	for _, parent := range parents {
		// Two replicas that store at the same time may each miss what the other stores.
		if n := counts[parent.Name()]; n > login.MaxAccessTokens+2 || n < login.MaxAccessTokens-2 {
			t.Errorf("%d access tokens of one application token, want about %d", n, login.MaxAccessTokens)
		}
	}
}

// A client with many application tokens has no more access tokens than one client may have.
func TestOpenAccess_RateOfClientIsBounded(t *testing.T) {
	w := newFixture(t)
	s, c, served := w.newReplica(nil), w.client("acme"), 0
	open := func(i int) error {
		parent := w.addParent(fmt.Sprintf("parent %d", i), nil)
		_, err := s.OpenAccess(t.Context(), parent.Digest, c, nil)
		return err
	}
	var limited *login.Limited
	for i := range 1000 {
		if err := open(i); err == nil {
			served++
		} else if !errors.As(err, &limited) || limited.After <= 0 {
			t.Fatal(err)
		}
	}
	if served != 300 {
		t.Errorf("%d were served", served)
	}
	w.clock.advance(time.Second)
	for i := range 10 {
		if open(1000+i) == nil {
			served++
		}
	}
	if served != 303 {
		t.Errorf("%d were served after a second", served)
	}
}
