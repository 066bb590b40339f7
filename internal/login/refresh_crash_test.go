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

// faultsByName lists the faults of a call.
var faultsByName = map[string]fault{"fails": failBefore, "is lost": loseResponse, "dies before": crashBefore, "dies after": crashAfter}

// runWithFault runs do with a fault at one call of the store. It reports whether there was such a
// call, and what do returned.
func (s *testReplica) runWithFault(at int, how fault, do func() error) (there bool, err error) {
	before := s.store.calls
	s.store.faultAt = func(call int, _ string) fault {
		if call == before+at {
			there = true
			return how
		}
		return noFault
	}
	defer func() {
		s.store.faultAt = nil
		if p := recover(); p != nil {
			if p != (crash{}) {
				panic(p)
			}
			err = errStoreDown
		}
	}()
	err = do()
	return there, err
}

// Invariant 3.4, threats row 18: wherever a refresh breaks, a retry with the same refresh token
// gets a valid pair, on any replica, and it is the only valid one.
func TestRefresh_CanBeRetriedAfterAnyFault(t *testing.T) {
	for name, how := range faultsByName {
		for _, retry := range []bool{false, true} {
			for _, again := range []string{"there", "at once, there", "elsewhere", "where nothing is known yet"} {
				t.Run(fmt.Sprintf("%s, of a retry %t, again %s", name, retry, again), func(t *testing.T) {
					there := true
					for at := 1; there; at++ {
						w := newFixture(t)
						s := w.newReplica(func() int { return at % 4 })
						first := s.openRefreshable()
						given := []login.Opened{first}
						if retry {
							given = append(given, s.mustRefresh(first))
						}
						var got login.Opened
						var err error
						there, err = s.runWithFault(at, how, func() (err error) {
							got, err = s.refresh(first)
							return err
						})
						if err != nil && !errors.Is(err, login.ErrUnavailable) && !errors.Is(err, errStoreDown) {
							t.Errorf("call %d: %v", at, err)
						}
						if err == nil {
							given = append(given, got)
						}
						if again != "at once, there" {
							w.clock.advance(2 * time.Second)
						}
						with := map[string]*testReplica{"there": s, "at once, there": s, "elsewhere": w.newReplica(nil), "where nothing is known yet": w.newReplica(func() int { return 100 })}[again]
						last := with.mustRefresh(first)
						for n, o := range given {
							if w.isValid(o) {
								t.Errorf("call %d: pair %d is good too", at, n)
							}
						}
						if len(w.allRecords()) != 1 || w.replayCount.Load() != 0 {
							t.Errorf("call %d: %d records, %d replays", at, len(w.allRecords()), w.replayCount.Load())
						}
						w.clock.advance(time.Minute)
						s.mustRefresh(last)
					}
				})
			}
		}
	}
}

// A change of the account happens completely or not at all. If its response is lost, the login may
// be lost too: a retry would use a login that has ended, which must not be used again [3.3]. But
// never are two pairs valid.
func TestMasquerade_FaultLeavesAtMostOnePair(t *testing.T) {
	for name, how := range faultsByName {
		there, committed := true, false
		for at := 1; there; at++ {
			w := newFixture(t)
			s := w.newReplica(nil)
			first := s.openRefreshable()
			var got login.Opened
			var err error
			there, err = s.runWithFault(at, how, func() (err error) {
				got, err = s.Masquerade(t.Context(), first.Token.Digest(), 1002)
				return err
			})
			w.clock.advance(2 * time.Second)
			committed = committed || !w.isValid(first)
			switch {
			case err == nil && (w.isValid(first) || !w.isValid(got)):
				t.Errorf("%s at call %d: it is done, and the one before is good: %t", name, at, w.isValid(first))
			case err == nil:
				s.mustRefresh(got)
				_, err := s.refresh(first)
				wantDenied(t, "the one before", err)
			case w.isValid(first) != !committed:
				t.Errorf("%s at call %d: the one before is good: %t", name, at, w.isValid(first))
			case w.isValid(first):
				s.mustRefresh(first)
				if n := len(w.liveLogins("alice", "acme")); n != 1 {
					t.Errorf("%s at call %d: %d logins at the client before", name, at, n)
				}
			default:
				_, err := s.refresh(first)
				wantDenied(t, "the one before", err)
				if how == loseResponse && len(w.allRecords()) != 0 {
					t.Errorf("%s at call %d: %d records that no caller has", name, at, len(w.allRecords()))
				}
			}
		}
	}
}

// A record that a crash leaves names a predecessor that still exists, and is garbage-collected.
func TestRefresh_CrashLeavesOrphan(t *testing.T) {
	for what, do := range map[string]func(*testReplica, login.Opened) error{
		"a refresh": func(s *testReplica, o login.Opened) error { _, err := s.refresh(o); return err },
		"a change of the account": func(s *testReplica, o login.Opened) error {
			_, err := s.Masquerade(t.Context(), o.Token.Digest(), 1002)
			return err
		},
	} {
		w := newFixture(t)
		s := w.newReplica(nil)
		o := s.openRefreshable()
		s.store.faultAt = func(_ int, name string) fault {
			if name == "Claim" {
				return crashBefore
			}
			return noFault
		}
		func() {
			defer func() { _ = recover() }()
			t.Errorf("%s did not break: %v", what, do(s, o))
		}()
		u := w.alice()
		why := map[login.CollectReason]int{}
		for _, r := range w.allRecords() {
			is, _ := login.EvaluateCollection(noon.Add(login.CollectDelay), r, login.CollectState{User: &u, HasPredecessor: r.Predecessor != ""})
			why[is]++
		}
		if why[login.NotCollected] != 1 || why[login.Orphan] != 1 || len(why) != 2 {
			t.Errorf("%s leaves %v", what, why)
		}
		s.store.faultAt = nil
		s.mustRefresh(o) // the fault has no lasting effect on the replica
	}
}

// Invariant 3.3: a record that a crash left does not become valid when the login ends.
func TestEnd_EndsOrphansOfCrash(t *testing.T) {
	for what, end := range map[string]func(*testReplica, login.Opened) error{
		"by its token":         func(s *testReplica, o login.Opened) error { return s.End(t.Context(), o.Token.Digest()) },
		"by its refresh token": func(s *testReplica, o login.Opened) error { return s.EndRefresh(t.Context(), o.Refresh, clientAddress) },
		"for another account": func(s *testReplica, o login.Opened) error {
			_, err := s.Masquerade(t.Context(), o.Token.Digest(), 1002)
			return err
		},
	} {
		w := newFixture(t)
		s := w.newReplica(nil)
		o := s.openRefreshable()
		if _, err := s.runWithFault(3, failBefore, func() error { _, err := s.refresh(o); return err }); err == nil || len(w.allRecords()) != 2 {
			t.Fatalf("the refresh did not break: %v, and %d records", err, len(w.allRecords()))
		}
		if err := end(s, o); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		_, err := s.refresh(o)
		wantDenied(t, what, err)
		if n := len(w.liveLogins("alice", "acme")); n != 0 {
			t.Errorf("%s: %d logins are left", what, n)
		}
	}
}

// A request is bounded, and an operation that has begun runs to its end even if the caller has
// gone.
func TestService_FinishesWhatCanceledRequestBegan(t *testing.T) {
	w := newFixture(t)
	s := w.newReplica(nil)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	o, err := s.Open(gone, w.alice(), w.client("acme"), login.Terms{Kind: token.Login, Refreshable: true})
	if err != nil || !w.isValid(o) {
		t.Fatal(err)
	}
	o, err = s.Refresh(gone, o.Refresh, "", clientAddress, w.clock.now())
	if err != nil || !w.isValid(o) {
		t.Fatal(err)
	}
	if o, err = s.Masquerade(gone, o.Token.Digest(), 1002); err != nil || !w.isValid(o) {
		t.Fatal(err)
	}
	if err := s.End(gone, o.Token.Digest()); err != nil || len(w.allRecords()) != 0 {
		t.Error(err)
	}
}
