package login_test

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/login/password"
)

// sourceNumber returns the address of one of many sources.
func sourceNumber(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
}

// guessFromMany makes one guess at a name from each of many sources, and returns how many were
// checked.
func (s *testReplica) guessFromMany(name string, from, sources int) (checked int) {
	for n := range sources {
		if errors.Is(s.attemptFrom(sourceNumber(from+n), name, "a guess"), login.ErrDenied) {
			checked++
		}
	}
	return checked
}

// The right password is accepted at once, whatever attackers elsewhere do with the name.
func TestAttemptLimits_AttackerDoesNotLockOutUser(t *testing.T) {
	for what, x := range map[string]struct {
		user      string
		attackers []string
	}{
		"one, in IPv4":                 {"192.0.2.7", []string{"198.51.100.1"}},
		"one of the same network":      {"192.0.2.7", []string{"192.0.2.8"}},
		"one, in IPv6":                 {"2001:db8:0:1::1", []string{"2001:db8:0:2::1"}},
		"one in IPv6, as in IPv4":      {"::ffff:192.0.2.7", []string{"::ffff:192.0.2.8", "::192.0.2.7"}},
		"one of many addresses of one": {"192.0.2.7", []string{"2001:db8::1", "2001:db8::2", "2001:db8::3"}},
		"nine":                         {"192.0.2.7", []string{"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.7", "10.0.0.8", "10.0.0.9"}},
	} {
		w := newFixture(t)
		s := w.newReplica(nil)
		for range 3 {
			for _, attacker := range x.attackers {
				for range 3 * login.NameBurst {
					if err := s.attemptFrom(netip.MustParseAddr(attacker), "alice", "a guess"); err == nil {
						t.Errorf("%s: a guess is accepted", what)
					}
				}
			}
			if err := s.attemptFrom(netip.MustParseAddr(x.user), "alice", rightPassword); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
		// Not even with the right password, or it would reveal which guess was right.
		wantLimited(t, what, s.attemptFrom(netip.MustParseAddr(x.attackers[0]), "alice", rightPassword), login.NameEvery)
	}
}

// Guesses that wait to be checked do not refuse the user either.
func TestAttemptLimits_AttackerInParallelDoesNotLockOutUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFixture(t)
		s := w.newReplica(nil)
		release := s.HoldChecks()
		const sources, guesses = 9, 20
		said, user := make(chan error, sources*guesses), make(chan error, 1)
		for n := range sources {
			for range guesses {
				go func() { said <- s.attemptFrom(sourceNumber(n), "alice", "a guess") }()
			}
		}
		synctest.Wait()
		if n := sources*guesses - len(said); n != sources*password.MaxPerNameAtSource {
			t.Errorf("%d guesses run or wait", n)
		}
		go func() { user <- s.attempt("alice", rightPassword) }()
		synctest.Wait()
		release()
		if err := <-user; err != nil {
			t.Errorf("the user: %v", err)
		}
		for range sources * guesses {
			<-said
		}
	})
}

// All sources together guess no faster than stated, whether or not a user has the name.
func TestAttemptLimits_ManySourcesAreBoundedPerName(t *testing.T) {
	for _, name := range []string{"alice", "absent"} { // row 27
		w := newFixture(t)
		s := w.newReplica(nil)
		if n := s.guessFromMany(name, 0, 1000); n != login.NameTotalBurst {
			t.Errorf("%s: %d guesses were checked, want %d", name, n, login.NameTotalBurst)
		}
		wantLimited(t, name, s.attempt(name, rightPassword), login.NameTotalEvery)
		w.clock.advance(time.Minute)
		if n := s.guessFromMany(name, 1000, 1000); n != int(time.Minute/login.NameTotalEvery) {
			t.Errorf("%s: %d guesses were checked in a minute", name, n)
		}
		if err := s.attempt("bob", rightPassword); err != nil {
			t.Errorf("%s: another name: %v", name, err)
		}
	}
}

func TestAttemptLimits_ParallelGuessesFromManySourcesStayWithinBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFixture(t)
		s := w.newReplica(nil)
		s.guessFromMany("alice", 0, login.NameTotalBurst-5)
		release := s.HoldChecks()
		const guesses = 200
		said := make(chan error, guesses)
		for n := range guesses {
			go func() { said <- s.attemptFrom(sourceNumber(1000+n), "alice", "a guess") }()
		}
		synctest.Wait()
		release()
		checked := 0
		for range guesses {
			if errors.Is(<-said, login.ErrDenied) {
				checked++
			}
		}
		if checked != 5 {
			t.Errorf("%d guesses were checked, want 5", checked)
		}
	})
}

// Failures from any number of sources do not lock a user out of a network that the user uses.
func TestAttemptLimits_KnownSourceIsNotLockedOut(t *testing.T) {
	w := newFixture(t)
	s := w.newReplica(nil)
	if err := s.attempt("alice", rightPassword); err != nil {
		t.Fatal(err)
	}
	s.guessFromMany("alice", 0, 10*login.NameTotalBurst)
	if err := s.attempt("alice", rightPassword); err != nil {
		t.Errorf("at the known source: %v", err)
	}
	wantLimited(t, "at another", s.attemptFrom(netip.MustParseAddr("192.0.2.8"), "alice", rightPassword), login.NameTotalEvery)

	w.clock.advance(login.KnownSourceTime - time.Nanosecond)
	s.guessFromMany("alice", 0, 10*login.NameTotalBurst)
	wantDenied(t, "an instant before it is forgotten", s.attempt("alice", "a guess"))
	w.clock.advance(time.Nanosecond)
	wantLimited(t, "when it is forgotten", s.attempt("alice", rightPassword), login.NameTotalEvery-time.Nanosecond)
}

// A known source guesses no more than another, and takes nothing from what others may fail.
func TestAttemptLimits_KnownSourceHasLimitOfItsOwn(t *testing.T) {
	w := newFixture(t)
	s := w.newReplica(nil)
	if err := s.attempt("alice", rightPassword); err != nil {
		t.Fatal(err)
	}
	for n := range login.NameBurst {
		wantDenied(t, fmt.Sprint("guess ", n), s.attempt("alice", "a guess"))
	}
	wantLimited(t, "one more", s.attempt("alice", rightPassword), login.NameEvery)
	if n := s.guessFromMany("alice", 0, 1000); n != login.NameTotalBurst {
		t.Errorf("%d guesses from elsewhere were checked, want %d", n, login.NameTotalBurst)
	}
	wantLimited(t, "at a source that never logged in", s.attemptFrom(sourceNumber(1), "alice", "a guess"), login.NameTotalEvery)
}

// A user who logs in from many networks makes the oldest of them forgotten, and none of others.
func TestAttemptLimits_KnownSourcesAreBoundedPerName(t *testing.T) {
	w := newFixture(t)
	s := w.newReplica(nil)
	if err := s.attempt("bob", rightPassword); err != nil {
		t.Fatal(err)
	}
	for n := range login.MaxKnownSources + 1 {
		if err := s.attemptFrom(sourceNumber(n), "alice", rightPassword); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"alice", "bob"} {
		s.guessFromMany(name, 1000, 10*login.NameTotalBurst)
	}
	wantLimited(t, "the oldest", s.attemptFrom(sourceNumber(0), "alice", rightPassword), login.NameTotalEvery)
	for n := range login.MaxKnownSources {
		if err := s.attemptFrom(sourceNumber(n+1), "alice", rightPassword); err != nil {
			t.Errorf("source %d: %v", n+1, err)
		}
	}
	if err := s.attempt("bob", rightPassword); err != nil {
		t.Errorf("another user: %v", err)
	}
}

// Callers of unknown address share one source, so none of them makes it known for the others.
func TestAttemptLimits_UnknownAddressIsNeverKnown(t *testing.T) {
	w := newFixture(t)
	s := w.newReplica(nil)
	if err := s.attemptFrom(netip.Addr{}, "alice", rightPassword); err != nil {
		t.Fatal(err)
	}
	s.guessFromMany("alice", 0, 10*login.NameTotalBurst)
	wantLimited(t, "an unknown address", s.attemptFrom(netip.Addr{}, "alice", rightPassword), login.NameTotalEvery)
}
