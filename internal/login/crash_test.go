package login_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/token"
)

// faulty lists the faults of a call.
var faulty = map[string]fault{"fails": fails, "is lost": lost, "dies before": dies, "dies after": dead}

// breaks runs do with a fault at one call of the store. It reports whether there was such a call,
// and what do returned.
func (s *one) breaks(at int, how fault, do func() error) (there bool, err error) {
	before := s.store.calls
	s.store.fail = func(call int, _ string) fault {
		if call == before+at {
			there = true
			return how
		}
		return works
	}
	defer func() {
		s.store.fail = nil
		if p := recover(); p != nil {
			if p != (death{}) {
				panic(p)
			}
			err = errAway
		}
	}()
	err = do()
	return there, err
}

// Invariant 3.4, threats row 18: wherever a refresh breaks, a retry with the same refresh token
// gets a valid pair, on any replica, and it is the only valid one.
func TestWhereverARefreshBreaksItCanBeTriedAgain(t *testing.T) {
	for name, how := range faulty {
		for _, retry := range []bool{false, true} {
			for _, again := range []string{"there", "at once, there", "elsewhere", "where nothing is known yet"} {
				t.Run(fmt.Sprintf("%s, of a retry %t, again %s", name, retry, again), func(t *testing.T) {
					there := true
					for at := 1; there; at++ {
						w := newWorld(t)
						s := w.replica(func() int { return at % 4 })
						first := s.pair()
						given := []login.Opened{first}
						if retry {
							given = append(given, s.good(first))
						}
						var got login.Opened
						var err error
						there, err = s.breaks(at, how, func() (err error) {
							got, err = s.refresh(first)
							return err
						})
						if err != nil && !errors.Is(err, login.ErrUnavailable) && !errors.Is(err, errAway) {
							t.Errorf("call %d: %v", at, err)
						}
						if err == nil {
							given = append(given, got)
						}
						if again != "at once, there" {
							w.clock.step(2 * time.Second)
						}
						with := map[string]*one{"there": s, "at once, there": s, "elsewhere": w.replica(nil), "where nothing is known yet": w.replica(func() int { return 100 })}[again]
						last := with.good(first)
						for n, o := range given {
							if w.holds(o) {
								t.Errorf("call %d: pair %d is good too", at, n)
							}
						}
						if len(w.all()) != 1 || w.replayed.Load() != 0 {
							t.Errorf("call %d: %d records, %d replays", at, len(w.all()), w.replayed.Load())
						}
						w.clock.step(time.Minute)
						s.good(last)
					}
				})
			}
		}
	}
}

// A change of the account happens completely or not at all. If its response is lost, the login may
// be lost too: a retry would use a login that has ended, which must not be used again [3.3]. But
// never are two pairs valid.
func TestWhereverAChangeOfTheAccountBreaksThereAreNoTwoGoodPairs(t *testing.T) {
	for name, how := range faulty {
		there, committed := true, false
		for at := 1; there; at++ {
			w := newWorld(t)
			s := w.replica(nil)
			first := s.pair()
			var got login.Opened
			var err error
			there, err = s.breaks(at, how, func() (err error) {
				got, err = s.Masquerade(t.Context(), first.Token.Digest(), 1002)
				return err
			})
			w.clock.step(2 * time.Second)
			committed = committed || !w.holds(first)
			switch {
			case err == nil && (w.holds(first) || !w.holds(got)):
				t.Errorf("%s at call %d: it is done, and the one before is good: %t", name, at, w.holds(first))
			case err == nil:
				s.good(got)
				_, err := s.refresh(first)
				denied(t, "the one before", err)
			case w.holds(first) != !committed:
				t.Errorf("%s at call %d: the one before is good: %t", name, at, w.holds(first))
			case w.holds(first):
				s.good(first)
				if n := len(w.live("alice", "acme")); n != 1 {
					t.Errorf("%s at call %d: %d logins at the client before", name, at, n)
				}
			default:
				_, err := s.refresh(first)
				denied(t, "the one before", err)
				if how == lost && len(w.all()) != 0 {
					t.Errorf("%s at call %d: %d records that nobody has", name, at, len(w.all()))
				}
			}
		}
	}
}

// A record that a crash leaves names a predecessor that still exists, and is garbage-collected.
func TestWhatACrashLeavesIsLitter(t *testing.T) {
	for what, do := range map[string]func(*one, login.Opened) error{
		"a refresh": func(s *one, o login.Opened) error { _, err := s.refresh(o); return err },
		"a change of the account": func(s *one, o login.Opened) error {
			_, err := s.Masquerade(t.Context(), o.Token.Digest(), 1002)
			return err
		},
	} {
		w := newWorld(t)
		s := w.replica(nil)
		o := s.pair()
		s.store.fail = func(_ int, name string) fault {
			if name == "Claim" {
				return dies
			}
			return works
		}
		func() {
			defer func() { _ = recover() }()
			t.Errorf("%s did not break: %v", what, do(s, o))
		}()
		u := w.alice()
		why := map[login.Why]int{}
		for _, r := range w.all() {
			is, _ := login.Sweep(noon.Add(login.Slack), r, login.Around{User: &u, Predecessor: r.Predecessor != ""})
			why[is]++
		}
		if why[login.Stays] != 1 || why[login.Litter] != 1 || len(why) != 2 {
			t.Errorf("%s leaves %v", what, why)
		}
		s.store.fail = nil
		s.good(o) // the fault has no lasting effect on the replica
	}
}

// Invariant 3.3: a record that a crash left does not become valid when the login ends.
func TestWhatACrashLeftEndsWithTheLogin(t *testing.T) {
	for what, end := range map[string]func(*one, login.Opened) error{
		"by its token":         func(s *one, o login.Opened) error { return s.End(t.Context(), o.Token.Digest()) },
		"by its refresh token": func(s *one, o login.Opened) error { return s.EndRefresh(t.Context(), o.Refresh, home) },
		"for another account": func(s *one, o login.Opened) error {
			_, err := s.Masquerade(t.Context(), o.Token.Digest(), 1002)
			return err
		},
	} {
		w := newWorld(t)
		s := w.replica(nil)
		o := s.pair()
		if _, err := s.breaks(3, fails, func() error { _, err := s.refresh(o); return err }); err == nil || len(w.all()) != 2 {
			t.Fatalf("the refresh did not break: %v, and %d records", err, len(w.all()))
		}
		if err := end(s, o); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		_, err := s.refresh(o)
		denied(t, what, err)
		if n := len(w.live("alice", "acme")); n != 0 {
			t.Errorf("%s: %d logins are left", what, n)
		}
	}
}

// A request is bounded, and an operation that has begun runs to its end even if the caller has
// gone.
func TestWhatWasBegunIsEndedForWhoeverHasGone(t *testing.T) {
	w := newWorld(t)
	s := w.replica(nil)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	o, err := s.Open(gone, w.alice(), w.client("acme"), login.Terms{Kind: token.Login, Refreshable: true})
	if err != nil || !w.holds(o) {
		t.Fatal(err)
	}
	o, err = s.Refresh(gone, o.Refresh, "", home, w.clock.now())
	if err != nil || !w.holds(o) {
		t.Fatal(err)
	}
	if o, err = s.Masquerade(gone, o.Token.Digest(), 1002); err != nil || !w.holds(o) {
		t.Fatal(err)
	}
	if err := s.End(gone, o.Token.Digest()); err != nil || len(w.all()) != 0 {
		t.Error(err)
	}
}
