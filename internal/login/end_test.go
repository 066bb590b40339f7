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

func TestALoginEndsAloneAndOnce(t *testing.T) {
	for what, terms := range map[string]login.Terms{
		"a login":                 {Kind: token.Login},
		"one that is refreshable": {Kind: token.Login, Refreshable: true},
		"a session":               {Kind: token.Session, Source: home},
		"an open one":             {Kind: token.Open, Lifetime: time.Hour},
	} {
		w := newWorld(t)
		s, there := w.replica(nil), w.replica(func() int { return 100 })
		o, other := s.open("acme", terms), s.open("acme", terms)
		if err := there.End(t.Context(), o.Token.Digest()); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if w.holds(o) || !w.ended[o.Token.Digest()] || !w.holds(other) {
			t.Errorf("%s: it is good: %t; another is: %t", what, w.holds(o), w.holds(other))
		}
		denied(t, what+", once more", there.End(t.Context(), o.Token.Digest()))
		if o.Refresh.Kind() != 0 {
			_, err := s.refresh(o)
			denied(t, what+", its refresh token", err)
			denied(t, what+", its refresh token", s.EndRefresh(t.Context(), o.Refresh, home))
			s.good(other)
		}
	}
}

// The cache of a replica may be behind: a login that was refreshed elsewhere is not the one that
// has ended.
func TestALoginThatWasRefreshedElsewhereIsNotSaidToHaveEnded(t *testing.T) {
	w := newWorld(t)
	behind := 0
	s, there := w.replica(nil), w.replica(func() int { return behind })
	o := s.pair()
	if rs, err := there.store.Of(t.Context(), o.Record.Owner); len(rs) != 1 || err != nil {
		t.Fatal(rs, err)
	}
	behind = 100
	next := s.good(o)
	denied(t, "the login before", there.End(t.Context(), o.Token.Digest()))
	s.good(next)
}

// A replica may know the new login of a refresh, but not yet that the previous one is gone. It ends
// the session or nothing.
func TestALoginThatIsBeingRefreshedEndsWithAllThatItWasRefreshedTo(t *testing.T) {
	for refreshes := range 3 {
		w := newWorld(t)
		behind := 0
		s, there := w.replica(nil), w.replica(func() int { return behind })
		o := s.pair()
		last := s.good(o)
		behind = 1 // the deletion
		if rs, err := there.store.Of(t.Context(), o.Record.Owner); len(rs) != 2 || err != nil {
			t.Fatal(rs, err)
		}
		behind = 100
		for range refreshes {
			last = s.good(last)
		}
		if err := there.End(t.Context(), o.Token.Digest()); err != nil {
			t.Error(err)
		}
		if w.holds(last) || len(w.all()) != 0 {
			t.Errorf("after %d more: its session goes on", refreshes)
		}
	}
}

// No client has the credential of a record that was stored although the response was lost. After a
// logout no refresh token leads to it.
func TestALogoutAfterARefreshWhoseAnswerWasLostIsFinal(t *testing.T) {
	w := newWorld(t)
	s, there := w.replica(nil), w.replica(func() int { return 100 })
	o := s.pair()
	s.store.fail = func(_ int, name string) fault { return map[string]fault{"Add": lost}[name] }
	if _, err := s.refresh(o); !errors.Is(err, login.ErrUnavailable) {
		t.Fatal(err)
	}
	s.store.fail = nil
	if err := there.End(t.Context(), o.Token.Digest()); err != nil {
		t.Error(err)
	}
	_, err := s.refresh(o)
	denied(t, "after the logout", err)
	if len(w.all()) != 0 {
		t.Errorf("%d records", len(w.all()))
	}
}

func TestARefreshTokenEndsItsSessionAlone(t *testing.T) {
	w := newWorld(t)
	s, there := w.replica(nil), w.replica(func() int { return 100 })
	other, first := s.pair(), s.pair()
	last := s.good(first)
	if err := there.EndRefresh(t.Context(), last.Refresh, home); err != nil {
		t.Fatal(err)
	}
	if w.holds(last) || !w.ended[last.Token.Digest()] || !w.holds(other) {
		t.Error("it did not end, or another did")
	}
	for _, tok := range []token.Token{first.Refresh, last.Refresh} {
		_, err := s.present(tok)
		denied(t, "after its end", err)
		denied(t, "once more", s.EndRefresh(t.Context(), tok, home))
	}
	if w.replayed.Load() != 0 {
		t.Error("it was taken for a theft")
	}
	first = s.pair()
	last = s.good(first)
	// RFC 7009: a client that has the token had the session.
	if err := s.EndRefresh(t.Context(), first.Refresh, home); err != nil || w.holds(last) {
		t.Errorf("one that was used up: %v", err)
	}
}

// Threats row 12: a store that fails has ended nothing, and the caller gets an error.
func TestAnEndThatCannotBeWrittenIsNone(t *testing.T) {
	for what, end := range map[string]func(*one, login.Opened) error{
		"by its token":         func(s *one, o login.Opened) error { return s.End(t.Context(), o.Token.Digest()) },
		"by its refresh token": func(s *one, o login.Opened) error { return s.EndRefresh(t.Context(), o.Refresh, home) },
		"by a replay": func(s *one, o login.Opened) error {
			forged, err := o.Refresh.Family().Mint(s.Entropy)
			if err != nil {
				return err
			}
			_, err = s.present(forged)
			return err
		},
	} {
		there := true
		for at := 1; there; at++ {
			w := newWorld(t)
			s := w.replica(nil)
			o := s.pair()
			var err error
			there, err = s.breaks(at, fails, func() error { return end(s, o) })
			if !there {
				if w.holds(o) || !w.ended[o.Token.Digest()] {
					t.Errorf("%s: it did not end", what)
				}
				break
			}
			if !errors.Is(err, login.ErrUnavailable) || errors.Is(err, login.ErrDenied) {
				t.Errorf("%s, and call %d fails: %v", what, at, err)
			}
			if w.holds(o) == w.ended[o.Token.Digest()] {
				t.Errorf("%s, and call %d fails: it is good %t, and said to have ended %t", what, at, w.holds(o), w.ended[o.Token.Digest()])
			}
			if w.replayed.Load() != 0 {
				t.Errorf("%s, and call %d fails: its end was told", what, at)
			}
		}
	}
}

// Threats row 12, and the endpoints answer 503: without an answer from the store a login is neither
// valid nor gone.
func TestAStoreThatDoesNotAnswerIsUnavailableToAll(t *testing.T) {
	for what, do := range map[string]func(*one, login.Opened) error{
		"open": func(s *one, _ login.Opened) error {
			_, err := s.Open(t.Context(), s.w.alice(), s.w.client("acme"), login.Terms{Kind: token.Login})
			return err
		},
		"refresh": func(s *one, o login.Opened) error { _, err := s.refresh(o); return err },
		"masquerade": func(s *one, o login.Opened) error {
			_, err := s.Masquerade(t.Context(), o.Token.Digest(), 1002)
			return err
		},
		"end":         func(s *one, o login.Opened) error { return s.End(t.Context(), o.Token.Digest()) },
		"end refresh": func(s *one, o login.Opened) error { return s.EndRefresh(t.Context(), o.Refresh, home) },
	} {
		for _, how := range []fault{fails, silent} {
			synctest.Test(t, func(t *testing.T) { // waiting takes no time here
				w := newWorld(t)
				s := w.replica(nil)
				o := s.pair()
				s.store.fail = func(int, string) fault { return how }
				began := time.Now()
				err := do(s, o)
				if !errors.Is(err, login.ErrUnavailable) || errors.Is(err, login.ErrDenied) {
					t.Errorf("%s: %v", what, err)
				}
				if how == silent && !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 10*time.Second {
					t.Errorf("%s: it waited for %s, and says %v", what, time.Since(began), err)
				}
				s.store.fail = nil
				if !w.holds(o) || len(w.all()) != 1 || len(w.ended) != 0 {
					t.Errorf("%s: it has ended, or is one of %d", what, len(w.all()))
				}
			})
		}
	}
}

// A record that replaces another while the session ends ends too.
func TestASessionThatIsRefreshedWhileItEndsHasEnded(t *testing.T) {
	w := newWorld(t)
	s, there := w.replica(nil), w.replica(nil)
	o := s.pair()
	var next login.Opened
	s.store.fail = func(_ int, name string) fault {
		if name == "RetireAnyway" && next.Token.Kind() == 0 {
			next = there.good(o)
		}
		return works
	}
	if err := s.EndRefresh(t.Context(), o.Refresh, home); err != nil || len(w.all()) != 0 || !w.ended[next.Token.Digest()] {
		t.Errorf("%v, and %d records", err, len(w.all()))
	}
}

// A session that is refreshed as fast as it is ended is not reported as ended.
func TestASessionThatIsAlwaysRefreshedIsNotSaidToHaveEnded(t *testing.T) {
	w := newWorld(t)
	s := w.replica(nil)
	o := s.pair()
	n := byte(0)
	s.store.fail = func(_ int, name string) fault {
		if name == "RetireAnyway" {
			n++
			next := o.Record
			next.Digest = token.Digest{n}
			w.add(next)
		}
		return works
	}
	if err := s.EndRefresh(t.Context(), o.Refresh, home); !errors.Is(err, login.ErrUnavailable) {
		t.Error(err)
	}
	s.store.fail = nil
	if err := s.EndRefresh(t.Context(), o.Refresh, home); err != nil || len(w.all()) != 0 {
		t.Errorf("then: %v, and %d records", err, len(w.all()))
	}
}

func (s *truth) add(r record.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(r)
}
