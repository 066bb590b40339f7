package login_test

import (
	"errors"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/login"
)

// A use that is noted during a refresh does not affect the refresh, however often it happens.
func TestRefresh_ConcurrentUseDoesNotMatter(t *testing.T) {
	for _, uses := range []int{1, 2, 10} {
		w := newFixture(t)
		s := w.newReplica(nil)
		o := s.openRefreshable()
		left := uses
		s.store.faultAt = func(_ int, name string) fault {
			if name == "Claim" && left > 0 {
				left--
				w.noteUse(o.Token.Digest())
			}
			return noFault
		}
		next, err := s.refresh(o)
		if err != nil || len(w.allRecords()) != 1 || !w.isValid(next) {
			t.Errorf("%d uses: %v, and %d records", uses, err, len(w.allRecords()))
		}
	}
}

// A request that ends a login during its refresh has ended it, whatever else happens.
func TestRefresh_ConcurrentEndWins(t *testing.T) {
	for what, meanwhile := range map[string]func(*testReplica, login.Opened) fault{
		"it ends":                                func(s *testReplica, o login.Opened) fault { s.fixture.endLogin(o); return noFault },
		"it is used, and ends":                   func(s *testReplica, o login.Opened) fault { s.fixture.noteUse(o.Token.Digest()); return noFault },
		"it is used, and the outcome is unknown": func(s *testReplica, o login.Opened) fault { s.fixture.noteUse(o.Token.Digest()); return noFault },
	} {
		w := newFixture(t)
		s := w.newReplica(nil)
		o := s.openRefreshable()
		s.store.faultAt = func(_ int, name string) fault {
			switch {
			case name == "Claim":
				return meanwhile(s, o)
			case name == "Find" && what == "it is used, and ends":
				w.endLogin(o)
			case name == "Find":
				return failBefore
			}
			return noFault
		}
		_, err := s.refresh(o)
		s.store.faultAt = nil
		if what == "it is used, and the outcome is unknown" {
			if !errors.Is(err, login.ErrUnavailable) {
				t.Errorf("%s: %v", what, err)
			}
			w.clock.advance(2 * time.Second)
			s.mustRefresh(o)
			continue
		}
		wantDenied(t, what, err)
		if n := len(w.allRecords()); n != 0 {
			t.Errorf("%s: %d records", what, n)
		}
		_, err = s.refresh(o)
		wantDenied(t, what, err)
	}
}

func (s *storeState) endLogin(o login.Opened) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delete(o.Token.Digest())
}
