package login_test

import (
	"testing"

	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/record"
)

// Invariants 3.3 and 3.7, threats row 2: changes since a login was opened take effect. Nothing is
// written for a user that may not log in any more.
func TestWhoMayNotLogInAnyMoreIsNotRefreshedNorLetElsewhere(t *testing.T) {
	user := func(but func(*login.User)) func(*world) {
		return func(w *world) {
			u := w.alice()
			but(&u)
			w.directory.SetUser(u)
		}
	}
	client := func(but func(*login.Client)) func(*world) {
		return func(w *world) {
			c := w.client("acme")
			but(&c)
			w.directory.SetClient(c)
		}
	}
	for what, x := range map[string]struct {
		but  func(*world)
		good bool
	}{
		"nothing":                           {func(*world) {}, true},
		"a new name to log in with":         {user(func(u *login.User) { u.Username = "alice@example.com" }), true},
		"a shorter lifetime":                {client(func(c *login.Client) { c.Lifetime = 1 }), true},
		"the user is suspended":             {user(func(u *login.User) { u.Suspended = true }), false},
		"the user is gone":                  {func(w *world) { w.directory.RemoveUser("alice") }, false},
		"a namesake is there":               {user(func(u *login.User) { u.UID = "another" }), false},
		"the password is changed":           {user(func(u *login.User) { u.Credential = "another" }), false},
		"the password is gone":              {user(func(u *login.User) { u.Credential = "" }), false},
		"the account is gone":               {user(func(u *login.User) { u.Accounts = u.Accounts[1:] }), false},
		"all accounts are":                  {user(func(u *login.User) { u.Accounts = nil }), false},
		"the client is suspended":           {client(func(c *login.Client) { c.Suspended = true }), false},
		"the client is gone":                {func(w *world) { w.directory.RemoveClient("acme") }, false},
		"the record is suspended":           {func(w *world) { w.change(func(r *record.Record) { r.Suspended = true }) }, false},
		"the record is of another password": {func(w *world) { w.change(func(r *record.Record) { r.Credential = "another" }) }, false},
		"neither is of any": {func(w *world) {
			user(func(u *login.User) { u.Credential = "" })(w)
			w.change(func(r *record.Record) { r.Credential = "" })
		}, false},
	} {
		for _, retry := range []bool{false, true} {
			w := newWorld(t)
			s := w.replica(nil)
			first := s.pair()
			last := first
			if retry {
				last = s.good(first)
			}
			x.but(w)
			_, err := s.refresh(first)
			if x.good && err != nil {
				t.Errorf("%s: %v", what, err)
			}
			if !x.good {
				denied(t, what, err)
				if _, err = s.Masquerade(t.Context(), last.Token.Digest(), 1002); err == nil {
					t.Errorf("%s: there is a new login elsewhere", what)
				}
				denied(t, what, err)
			}
			if n := len(w.all()); n != 1 || w.replayed.Load() != 0 || !x.good && !w.holds(last) {
				t.Errorf("%s: %d records, %d replays", what, n, w.replayed.Load())
			}
		}
	}
}

// change changes all records in the store.
func (s *truth) change(but func(*record.Record)) {
	for _, r := range s.all() {
		s.mu.Lock()
		but(&r)
		s.put(r)
		s.mu.Unlock()
	}
}
