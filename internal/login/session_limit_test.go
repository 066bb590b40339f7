package login_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/token"
)

// Threats row 21: however often a user logs in, on whatever replica, the store holds a bounded
// number of their logins. At one client these are the session limit, the login that is being
// opened, and the logins of other replicas that are not known yet. There are never more than the
// limit for each replica.
func TestSessionLimit_TenThousandLoginsStayWithin(t *testing.T) {
	const most = 20
	for what, x := range map[string]struct {
		logins         int
		every          time.Duration
		behind, atMost int
		fakeStore      func(n int) int
	}{
		"one replica":                               {1000, time.Second, 0, most + 1, func(int) int { return 0 }},
		"one replica that sees nothing for long":    {1000, 10 * time.Millisecond, 1000, most + 1, func(int) int { return 0 }},
		"three by turns, each a turn behind":        {10_000, time.Second, 4, most + 3, func(n int) int { return n % 3 }},
		"three at random, each four changes behind": {1000, time.Second, 4, most + 4 + 1, func(int) int { return rand.IntN(3) }},
		"three by turns, that see nothing for long": {1000, 10 * time.Millisecond, 1000, 3*most + 1, func(n int) int { return n % 3 }},
	} {
		t.Run(what, func(t *testing.T) {
			w := newFixture(t)
			behind := func() int { return x.behind }
			replicas := []*testReplica{w.newReplica(behind), w.newReplica(behind), w.newReplica(behind)}
			var opened []login.Opened
			peak := 0
			for n := range x.logins {
				w.clock.advance(x.every)
				opened = append(opened, replicas[x.fakeStore(n)].open("acme", login.Terms{Kind: token.Login}))
				peak = max(peak, w.peakRecords())
				// The newest logins are valid, as far as their order is known.
				for _, o := range opened[max(0, n+1-most):] {
					if !w.isValid(o) && x.every == time.Second {
						t.Fatalf("after %d logins, one of the last %d has ended", n+1, most)
					}
				}
			}
			if peak > x.atMost {
				t.Errorf("there were %d at a time, want at most %d", peak, x.atMost)
			}
			t.Logf("there were at most %d", peak)
			for _, r := range login.ExcessLogins(w.clock.now(), w.allRecords(), login.Group{User: "alice", Client: "acme", Kind: token.Login}, most) { // as the reconciler does
				w.delete(r.Digest)
			}
			if n := len(w.allRecords()); n != most {
				t.Errorf("%d are left, want %d", n, most)
			}
			for _, o := range opened[len(opened)-most:] {
				if !w.isValid(o) && x.every == time.Second {
					t.Error("one of the newest is not left")
				}
			}
		})
	}
}

// Among logins of one second, the one that is being opened counts as the newest, whatever its name.
func TestSessionLimit_NeverEndsNewLogin(t *testing.T) {
	w := newFixture(t)
	c := w.client("acme")
	c.MaxSessions = 1
	w.directory.SetClient(c)
	s := w.newReplica(nil)
	for range 50 {
		if o := s.open("acme", login.Terms{Kind: token.Login}); !w.isValid(o) || len(w.allRecords()) != 1 {
			t.Fatalf("it has ended, or is one of %d", len(w.allRecords()))
		}
	}
}

func TestSessionLimit_IgnoresOtherClients(t *testing.T) {
	w := newFixture(t)
	s := w.newReplica(nil)
	var at []login.Opened
	for range 20 {
		at = append(at, s.open("acme", login.Terms{Kind: token.Login}), s.open("globex", login.Terms{Kind: token.Session, Source: clientAddress}))
	}
	for _, o := range at {
		if !w.isValid(o) {
			t.Fatal("one has ended, although there are no more than are allowed at either client")
		}
	}
	w.clock.advance(time.Second)
	s.open("acme", login.Terms{Kind: token.Login})
	if a, g := len(w.liveLogins("alice", "acme")), len(w.liveLogins("alice", "globex")); a != 20 || g != 20 {
		t.Errorf("%d and %d", a, g)
	}
}

// A login that was stored here, and ended elsewhere before this replica's cache showed it, does not
// count.
func TestSessionLimit_IgnoresLoginsEndedElsewhere(t *testing.T) {
	w := newFixture(t)
	c := w.client("acme")
	c.MaxSessions = 3
	w.directory.SetClient(c)
	behind := 0
	here, there := w.newReplica(func() int { return behind }), w.newReplica(nil)
	good := []login.Opened{here.open("acme", login.Terms{Kind: token.Login}), here.open("acme", login.Terms{Kind: token.Login})}
	for range 10 {
		w.clock.advance(time.Second)
		behind = 1 // its own change
		brief := here.open("acme", login.Terms{Kind: token.Login})
		behind = 0
		if err := there.End(t.Context(), brief.Token.Digest()); err != nil {
			t.Fatal(err)
		}
	}
	good = append(good, here.open("acme", login.Terms{Kind: token.Login}))
	for n, o := range good {
		if !w.isValid(o) {
			t.Errorf("login %d has ended", n)
		}
	}
	if n := here.Unlisted(); n != 0 {
		t.Errorf("%d are waited for", n)
	}
}

// A refresh that is under way, or was interrupted, counts as one login and not as two.
func TestSessionLimit_CountsPendingRefreshOnce(t *testing.T) {
	w := newFixture(t)
	c := w.client("acme")
	c.MaxSessions = 2
	w.directory.SetClient(c)
	s := w.newReplica(nil)
	first := s.open("acme", login.Terms{Kind: token.Login})
	w.clock.advance(time.Second)
	second := s.openRefreshable()
	s.store.faultAt = func(_ int, name string) fault {
		if name == "Claim" {
			return failBefore
		}
		return noFault
	}
	if _, err := s.refresh(second); err == nil || len(w.allRecords()) != 3 {
		t.Fatalf("%v, and %d records", err, len(w.allRecords()))
	}
	w.clock.advance(time.Second)
	third := s.open("acme", login.Terms{Kind: token.Login})
	if w.isValid(first) || !w.isValid(second) || !w.isValid(third) {
		t.Errorf("first %t, second %t, third %t", w.isValid(first), w.isValid(second), w.isValid(third))
	}
}

// A login that moves to another client counts there.
func TestSessionLimit_CountsMasqueradedLogins(t *testing.T) {
	w := newFixture(t)
	s := w.newReplica(nil)
	for range 100 {
		w.clock.advance(time.Second)
		o, err := s.Masquerade(t.Context(), s.openRefreshable().Token.Digest(), 1002)
		if err != nil || !w.isValid(o) {
			t.Fatal(err)
		}
	}
	if n := len(w.allRecords()); n != 20 {
		t.Errorf("%d logins, want 20", n)
	}
}

func TestSessionLimit_HoldsForConcurrentLogins(t *testing.T) {
	w := newFixture(t)
	s := w.newReplica(func() int { return 7 })
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				s.open("acme", login.Terms{Kind: token.Login})
			}
		})
	}
	all.Wait()
	if n := len(w.allRecords()); n != 20 {
		t.Errorf("%d logins, want 20", n)
	}
}

// A stored login that does not show up in the cache is forgotten after a while, whether or not its
// user logs in again.
func TestSessionLimit_ForgetsUnlistedLogins(t *testing.T) {
	w := newFixture(t)
	s := w.newReplica(func() int { return 1 << 20 })
	for n := range 1000 {
		u := w.user(fmt.Sprint("user ", n), "acme")
		if _, err := s.Open(t.Context(), u, w.client("acme"), login.Terms{Kind: token.Login}); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.Unlisted(); n != 1000 {
		t.Errorf("%d are waited for", n)
	}
	w.clock.advance(login.MaxCacheDelay)
	s.openRefreshable()
	if n := s.Unlisted(); n != 1001 {
		t.Errorf("in time, %d are waited for", n)
	}
	w.clock.advance(login.MaxCacheDelay + time.Second)
	s.openRefreshable()
	if n := s.Unlisted(); n != 1 {
		t.Errorf("later, %d are waited for", n)
	}
}
