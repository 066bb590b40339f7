package login_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

func TestEnd_EndsOneLoginOnce(t *testing.T) {
	for what, terms := range map[string]login.Terms{
		"a login":                 {Kind: token.Login},
		"one that is refreshable": {Kind: token.Login, Refreshable: true},
		"a session":               {Kind: token.Session, Source: clientAddress},
		"an open one":             {Kind: token.Open, Lifetime: time.Hour},
	} {
		w := newFixture(t)
		s, there := w.newReplica(nil), w.newReplica(func() int { return 100 })
		o, other := s.open("acme", terms), s.open("acme", terms)
		if err := there.End(t.Context(), o.Token.Digest()); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if w.isValid(o) || !w.endedDigests[o.Token.Digest()] || !w.isValid(other) {
			t.Errorf("%s: it is good: %t; another is: %t", what, w.isValid(o), w.isValid(other))
		}
		wantDenied(t, what+", once more", there.End(t.Context(), o.Token.Digest()))
		if o.Refresh.Kind() != 0 {
			_, err := s.refresh(o)
			wantDenied(t, what+", its refresh token", err)
			wantDenied(t, what+", its refresh token", s.EndRefresh(t.Context(), o.Refresh, clientAddress))
			s.mustRefresh(other)
		}
	}
}

// The cache of a replica may be behind: a login that was refreshed elsewhere is not the one that
// has ended.
func TestEnd_LoginRefreshedElsewhereIsDenied(t *testing.T) {
	w := newFixture(t)
	behind := 0
	s, there := w.newReplica(nil), w.newReplica(func() int { return behind })
	o := s.openRefreshable()
	if rs, err := there.store.ListLogins(t.Context(), record.LoginQuery{User: o.Record.Owner, Kind: token.Login}); len(rs) != 1 || err != nil {
		t.Fatal(rs, err)
	}
	behind = 100
	next := s.mustRefresh(o)
	wantDenied(t, "the login before", there.End(t.Context(), o.Token.Digest()))
	s.mustRefresh(next)
}

// A replica may know the new login of a refresh, but not yet that the previous one is gone. It ends
// the session or nothing.
func TestEnd_EndsPendingRefresh(t *testing.T) {
	for refreshes := range 3 {
		w := newFixture(t)
		behind := 0
		s, there := w.newReplica(nil), w.newReplica(func() int { return behind })
		o := s.openRefreshable()
		last := s.mustRefresh(o)
		behind = 1 // the deletion
		if rs, err := there.store.ListLogins(t.Context(), record.LoginQuery{User: o.Record.Owner, Kind: token.Login}); len(rs) != 2 || err != nil {
			t.Fatal(rs, err)
		}
		behind = 100
		for range refreshes {
			last = s.mustRefresh(last)
		}
		if err := there.End(t.Context(), o.Token.Digest()); err != nil {
			t.Error(err)
		}
		if w.isValid(last) || len(w.allRecords()) != 0 {
			t.Errorf("after %d more: its session goes on", refreshes)
		}
	}
}

// No client has the credential of a record that was stored although the response was lost. After a
// logout no refresh token leads to it.
func TestEnd_IsFinalAfterLostRefreshResponse(t *testing.T) {
	w := newFixture(t)
	s, there := w.newReplica(nil), w.newReplica(func() int { return 100 })
	o := s.openRefreshable()
	s.store.faultAt = func(_ int, name string) fault { return map[string]fault{"Add": loseResponse}[name] }
	if _, err := s.refresh(o); !errors.Is(err, login.ErrUnavailable) {
		t.Fatal(err)
	}
	s.store.faultAt = nil
	if err := there.End(t.Context(), o.Token.Digest()); err != nil {
		t.Error(err)
	}
	_, err := s.refresh(o)
	wantDenied(t, "after the logout", err)
	if len(w.allRecords()) != 0 {
		t.Errorf("%d records", len(w.allRecords()))
	}
}

func TestEndRefresh_EndsItsSessionOnly(t *testing.T) {
	w := newFixture(t)
	s, there := w.newReplica(nil), w.newReplica(func() int { return 100 })
	other, first := s.openRefreshable(), s.openRefreshable()
	last := s.mustRefresh(first)
	if err := there.EndRefresh(t.Context(), last.Refresh, clientAddress); err != nil {
		t.Fatal(err)
	}
	if w.isValid(last) || !w.endedDigests[last.Token.Digest()] || !w.isValid(other) {
		t.Error("it did not end, or another did")
	}
	for _, tok := range []token.Token{first.Refresh, last.Refresh} {
		_, err := s.presentToken(tok)
		wantDenied(t, "after its end", err)
		wantDenied(t, "once more", s.EndRefresh(t.Context(), tok, clientAddress))
	}
	if w.replayCount.Load() != 0 {
		t.Error("it was taken for a theft")
	}
	first = s.openRefreshable()
	last = s.mustRefresh(first)
	// RFC 7009: a client that has the token had the session.
	if err := s.EndRefresh(t.Context(), first.Refresh, clientAddress); err != nil || w.isValid(last) {
		t.Errorf("one that was used up: %v", err)
	}
}

// Threats row 12: a store that fails has ended nothing, and the caller gets an error.
func TestEnd_FailedWriteEndsNothing(t *testing.T) {
	for what, end := range map[string]func(*testReplica, login.Opened) error{
		"by its token":         func(s *testReplica, o login.Opened) error { return s.End(t.Context(), o.Token.Digest()) },
		"by its refresh token": func(s *testReplica, o login.Opened) error { return s.EndRefresh(t.Context(), o.Refresh, clientAddress) },
		"by a replay": func(s *testReplica, o login.Opened) error {
			forged, err := o.Refresh.Family().Mint(s.Entropy)
			if err != nil {
				return err
			}
			_, err = s.presentToken(forged)
			return err
		},
	} {
		there := true
		for at := 1; there; at++ {
			w := newFixture(t)
			s := w.newReplica(nil)
			o := s.openRefreshable()
			var err error
			there, err = s.runWithFault(at, failBefore, func() error { return end(s, o) })
			if !there {
				if w.isValid(o) || !w.endedDigests[o.Token.Digest()] {
					t.Errorf("%s: it did not end", what)
				}
				break
			}
			if !errors.Is(err, login.ErrUnavailable) || errors.Is(err, login.ErrDenied) {
				t.Errorf("%s, and call %d fails: %v", what, at, err)
			}
			if w.isValid(o) == w.endedDigests[o.Token.Digest()] {
				t.Errorf("%s, and call %d fails: it is good %t, and said to have ended %t", what, at, w.isValid(o), w.endedDigests[o.Token.Digest()])
			}
			if w.replayCount.Load() != 0 {
				t.Errorf("%s, and call %d fails: its end was reported", what, at)
			}
		}
	}
}

// Threats row 12, and the endpoints answer 503: without an answer from the store a login is neither
// valid nor gone.
func TestService_UnreachableStoreIsUnavailable(t *testing.T) {
	for what, do := range map[string]func(*testReplica, login.Opened) error{
		"open": func(s *testReplica, _ login.Opened) error {
			_, err := s.Open(t.Context(), s.fixture.alice(), s.fixture.client("acme"), login.Terms{Kind: token.Login})
			return err
		},
		"refresh": func(s *testReplica, o login.Opened) error { _, err := s.refresh(o); return err },
		"masquerade": func(s *testReplica, o login.Opened) error {
			_, err := s.Masquerade(t.Context(), o.Token.Digest(), 1002)
			return err
		},
		"end":         func(s *testReplica, o login.Opened) error { return s.End(t.Context(), o.Token.Digest()) },
		"end refresh": func(s *testReplica, o login.Opened) error { return s.EndRefresh(t.Context(), o.Refresh, clientAddress) },
	} {
		for _, how := range []fault{failBefore, hang} {
			synctest.Test(t, func(t *testing.T) { // waiting takes no time here
				w := newFixture(t)
				s := w.newReplica(nil)
				o := s.openRefreshable()
				s.store.faultAt = func(int, string) fault { return how }
				began := time.Now()
				err := do(s, o)
				if !errors.Is(err, login.ErrUnavailable) || errors.Is(err, login.ErrDenied) {
					t.Errorf("%s: %v", what, err)
				}
				if how == hang && !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 10*time.Second {
					t.Errorf("%s: it waited for %s, and says %v", what, time.Since(began), err)
				}
				s.store.faultAt = nil
				if !w.isValid(o) || len(w.allRecords()) != 1 || len(w.endedDigests) != 0 {
					t.Errorf("%s: it has ended, or is one of %d", what, len(w.allRecords()))
				}
			})
		}
	}
}

// A record that replaces another while the session ends ends too.
func TestEndRefresh_EndsConcurrentRefresh(t *testing.T) {
	w := newFixture(t)
	s, there := w.newReplica(nil), w.newReplica(nil)
	o := s.openRefreshable()
	var next login.Opened
	s.store.faultAt = func(_ int, name string) fault {
		if name == "RetireAnyway" && next.Token.Kind() == 0 {
			next = there.mustRefresh(o)
		}
		return noFault
	}
	if err := s.EndRefresh(t.Context(), o.Refresh, clientAddress); err != nil || len(w.allRecords()) != 0 || !w.endedDigests[next.Token.Digest()] {
		t.Errorf("%v, and %d records", err, len(w.allRecords()))
	}
}

// A session that is refreshed as fast as it is ended is not reported as ended.
func TestEndRefresh_EndlessRefreshIsUnavailable(t *testing.T) {
	w := newFixture(t)
	s := w.newReplica(nil)
	o := s.openRefreshable()
	n := byte(0)
	s.store.faultAt = func(_ int, name string) fault {
		if name == "RetireAnyway" {
			n++
			next := o.Record
			next.Digest = token.Digest{n}
			w.addRecord(next)
		}
		return noFault
	}
	if err := s.EndRefresh(t.Context(), o.Refresh, clientAddress); !errors.Is(err, login.ErrUnavailable) {
		t.Error(err)
	}
	s.store.faultAt = nil
	if err := s.EndRefresh(t.Context(), o.Refresh, clientAddress); err != nil || len(w.allRecords()) != 0 {
		t.Errorf("then: %v, and %d records", err, len(w.allRecords()))
	}
}

func (s *storeState) addRecord(r record.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(r)
}
