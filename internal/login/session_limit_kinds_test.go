package login_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

// termsByKind are the terms of each kind of login.
var termsByKind = map[token.Kind]login.Terms{
	token.Login:   {Kind: token.Login},
	token.Session: {Kind: token.Session, Source: clientAddress},
	token.Open:    {Kind: token.Open, Lifetime: time.Hour},
}

// setLimits sets the limits of a client.
func (w *fixture) setLimits(client string, l login.Limits) {
	c := w.client(client)
	c.Limits = l
	w.directory.SetClient(c)
}

// kindCounts counts the records of each kind.
func (w *fixture) kindCounts() map[token.Kind]int {
	n := map[token.Kind]int{}
	for _, r := range w.allRecords() {
		n[r.Kind]++
	}
	return n
}

// A flood of one kind ends no login of another.
func TestSessionLimit_CountsEachKindByItself(t *testing.T) {
	for flooded, terms := range termsByKind {
		t.Run(flooded.String(), func(t *testing.T) {
			w := newFixture(t)
			limits := login.Limits{MaxSessions: 2, MaxSessionTokens: 4, MaxOpenTokens: 3}
			w.setLimits("acme", limits)
			s := w.newReplica(nil)
			var others []login.Opened
			for kind, terms := range termsByKind {
				for range login.LimitOf(kind, w.alice(), w.client("acme")) {
					if kind != flooded {
						others = append(others, s.open("acme", terms))
					}
				}
			}
			for range 50 {
				w.clock.advance(time.Second)
				s.open("acme", terms)
			}
			for _, o := range others {
				if !w.isValid(o) {
					t.Errorf("a login of kind %s has ended", o.Record.Kind)
				}
			}
			if n := w.kindCounts(); n[token.Login] != 2 || n[token.Session] != 4 || n[token.Open] != 3 {
				t.Errorf("%v, want the limit of each kind", n)
			}
		})
	}
}

// The limits of a user apply from the next login on.
func TestSessionLimit_UserOverridesClient(t *testing.T) {
	w := newFixture(t)
	s := w.newReplica(nil)
	change := func(l login.Limits) {
		u := w.alice()
		u.Limits = l
		w.directory.SetUser(u)
	}
	for _, step := range []struct {
		limits login.Limits
		want   int
	}{
		{login.Limits{}, 20},
		{login.Limits{MaxSessionTokens: 25}, 25},
		{login.Limits{MaxSessionTokens: 3}, 3},
		{login.Limits{MaxSessions: 1, MaxOpenTokens: 1}, 20},
	} {
		change(step.limits)
		for range 30 {
			w.clock.advance(time.Second)
			s.open("acme", termsByKind[token.Session])
		}
		if n := w.kindCounts()[token.Session]; n != step.want {
			t.Errorf("with %+v there are %d, want %d", step.limits, n, step.want)
		}
	}
}

// The program of Spectrum's clients: it opens a token for each web session and never renews it.
func TestSessionLimit_KeepsSessionTokensInUse(t *testing.T) {
	w := newFixture(t)
	w.setLimits("acme", login.Limits{MaxSessionTokens: 4})
	one, other := w.newReplica(nil), w.newReplica(nil)
	inUse := []login.Opened{one.open("acme", termsByKind[token.Session]), other.open("acme", termsByKind[token.Session])}
	for i := range 20 {
		w.clock.advance(time.Minute)
		for _, o := range inUse {
			w.noteUse(o.Record.Digest)
		}
		w.clock.advance(time.Minute)
		[]*testReplica{one, other}[i%2].open("acme", termsByKind[token.Session])
	}
	for i, o := range inUse {
		if !w.isValid(o) {
			t.Errorf("session %d has ended, and was in use", i)
		}
	}
	if n := len(w.allRecords()); n != 4 {
		t.Errorf("%d session tokens, want 4", n)
	}
}

// A login that ended here does not count, although the cache still shows it.
func TestSessionLimit_IgnoresLoginsEndedHere(t *testing.T) {
	w := newFixture(t)
	w.setLimits("acme", login.Limits{MaxSessions: 3})
	behind := 0
	s := w.newReplica(func() int { return behind })
	kept := []login.Opened{s.open("acme", login.Terms{Kind: token.Login}), s.open("acme", login.Terms{Kind: token.Login})}
	for range 10 {
		w.clock.advance(time.Second)
		brief := s.open("acme", login.Terms{Kind: token.Login})
		if got, err := s.store.ListLogins(t.Context(), record.LoginQuery{User: brief.Record.Owner, Kind: token.Login}); err != nil || len(got) != 3 {
			t.Fatalf("the cache shows %d logins, want 3: %v", len(got), err)
		}
		behind = 2 // its end, and the next login
		if err := s.End(t.Context(), brief.Token.Digest()); err != nil {
			t.Fatal(err)
		}
		s.mustOpenBriefly(t, kept)
		behind = 0
	}
}

// mustOpenBriefly opens a login that ends no other, and ends it.
func (s *testReplica) mustOpenBriefly(t *testing.T, kept []login.Opened) {
	t.Helper()
	o := s.open("acme", login.Terms{Kind: token.Login})
	if i := slices.IndexFunc(kept, func(k login.Opened) bool { return !s.fixture.isValid(k) }); i >= 0 {
		t.Fatalf("login %d has ended", i)
	}
	if err := s.End(t.Context(), o.Token.Digest()); err != nil {
		t.Fatal(err)
	}
}

// The bound of a technical user holds when many web sessions open at once on several replicas: the
// replicas exceed it at most by what they do not know of each other.
func TestSessionLimit_HoldsForConcurrentSessionTokens(t *testing.T) {
	const most, logins = 100, 300
	w := newFixture(t)
	w.setLimits("acme", login.Limits{MaxSessionTokens: most})
	replicas := []*testReplica{w.newReplica(func() int { return 5 }), w.newReplica(func() int { return 5 })}
	var all sync.WaitGroup
	for _, s := range replicas {
		all.Go(func() {
			for range logins {
				s.open("acme", termsByKind[token.Session])
			}
		})
	}
	all.Wait()
	if peak := w.peakRecords(); peak > 2*most+len(replicas) {
		t.Errorf("there were %d at a time", peak)
	}
	g := login.Group{User: "alice", Client: "acme", Kind: token.Session}
	for _, r := range login.ExcessLogins(w.clock.now(), w.allRecords(), g, most) { // as the reconciler does
		w.delete(r.Digest)
	}
	if n := len(w.allRecords()); n != most {
		t.Errorf("%d are left, want %d", n, most)
	}
}
