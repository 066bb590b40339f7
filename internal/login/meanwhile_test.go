package login_test

import (
	"errors"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/login"
)

// A use that is noted during a refresh does not affect the refresh, however often it happens.
func TestAUseThatIsNotedMeanwhileDoesNotMatter(t *testing.T) {
	for _, uses := range []int{1, 2, 10} {
		w := newWorld(t)
		s := w.replica(nil)
		o := s.pair()
		left := uses
		s.store.fail = func(_ int, name string) fault {
			if name == "Claim" && left > 0 {
				left--
				w.used(o.Token.Digest())
			}
			return works
		}
		next, err := s.refresh(o)
		if err != nil || len(w.all()) != 1 || !w.holds(next) {
			t.Errorf("%d uses: %v, and %d records", uses, err, len(w.all()))
		}
	}
}

// A request that ends a login during its refresh has ended it, whatever else happens.
func TestALoginThatEndsWhileItIsRefreshedIsNotRefreshed(t *testing.T) {
	for what, meanwhile := range map[string]func(*one, login.Opened) fault{
		"it ends":                         func(s *one, o login.Opened) fault { s.w.end(o); return works },
		"it is used, and ends":            func(s *one, o login.Opened) fault { s.w.used(o.Token.Digest()); return works },
		"it is used, and nobody can tell": func(s *one, o login.Opened) fault { s.w.used(o.Token.Digest()); return works },
	} {
		w := newWorld(t)
		s := w.replica(nil)
		o := s.pair()
		s.store.fail = func(_ int, name string) fault {
			switch {
			case name == "Claim":
				return meanwhile(s, o)
			case name == "Find" && what == "it is used, and ends":
				w.end(o)
			case name == "Find":
				return fails
			}
			return works
		}
		_, err := s.refresh(o)
		s.store.fail = nil
		if what == "it is used, and nobody can tell" {
			if !errors.Is(err, login.ErrUnavailable) {
				t.Errorf("%s: %v", what, err)
			}
			w.clock.step(2 * time.Second)
			s.good(o)
			continue
		}
		denied(t, what, err)
		if n := len(w.all()); n != 0 {
			t.Errorf("%s: %d records", what, n)
		}
		_, err = s.refresh(o)
		denied(t, what, err)
	}
}

func (s *truth) end(o login.Opened) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delete(o.Token.Digest())
}
