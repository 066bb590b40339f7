package login_test

import (
	"testing"

	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/record"
)

// Invariants 3.3 and 3.7, threats row 2: changes since a login was opened take effect. Nothing is
// written for a user that may not log in any more.
func TestRefresh_RevokedUserIsDenied(t *testing.T) {
	user := func(but func(*login.User)) func(*fixture) {
		return func(w *fixture) {
			u := w.alice()
			but(&u)
			w.directory.SetUser(u)
		}
	}
	client := func(but func(*login.Client)) func(*fixture) {
		return func(w *fixture) {
			c := w.client("acme")
			but(&c)
			w.directory.SetClient(c)
		}
	}
	for what, x := range map[string]struct {
		but            func(*fixture)
		refreshCurrent bool
	}{
		"nothing":                           {func(*fixture) {}, true},
		"a new name to log in with":         {user(func(u *login.User) { u.Username = "alice@example.com" }), true},
		"a shorter lifetime":                {client(func(c *login.Client) { c.LoginLifetime = 1 }), true},
		"the user is suspended":             {user(func(u *login.User) { u.Suspended = true }), false},
		"the user is gone":                  {func(w *fixture) { w.directory.RemoveUser("alice") }, false},
		"a namesake is there":               {user(func(u *login.User) { u.UID = "another" }), false},
		"the password is changed":           {user(func(u *login.User) { u.Credential = "another" }), false},
		"the password is gone":              {user(func(u *login.User) { u.Credential = "" }), false},
		"the account is gone":               {user(func(u *login.User) { u.Accounts = u.Accounts[1:] }), false},
		"all accounts are":                  {user(func(u *login.User) { u.Accounts = nil }), false},
		"the client is suspended":           {client(func(c *login.Client) { c.Suspended = true }), false},
		"the client is gone":                {func(w *fixture) { w.directory.RemoveClient("acme") }, false},
		"the record is suspended":           {func(w *fixture) { w.changeAll(func(r *record.Record) { r.Suspended = true }) }, false},
		"the record is of another password": {func(w *fixture) { w.changeAll(func(r *record.Record) { r.Credential = "another" }) }, false},
		"neither is of any": {func(w *fixture) {
			user(func(u *login.User) { u.Credential = "" })(w)
			w.changeAll(func(r *record.Record) { r.Credential = "" })
		}, false},
	} {
		for _, retry := range []bool{false, true} {
			w := newFixture(t)
			s := w.newReplica(nil)
			first := s.openRefreshable()
			last := first
			if retry {
				last = s.mustRefresh(first)
			}
			x.but(w)
			_, err := s.refresh(first)
			if x.refreshCurrent && err != nil {
				t.Errorf("%s: %v", what, err)
			}
			if !x.refreshCurrent {
				wantDenied(t, what, err)
				if _, err = s.Masquerade(t.Context(), last.Token.Digest(), 1002); err == nil {
					t.Errorf("%s: there is a new login elsewhere", what)
				}
				wantDenied(t, what, err)
			}
			if n := len(w.allRecords()); n != 1 || w.replayCount.Load() != 0 || !x.refreshCurrent && !w.isValid(last) {
				t.Errorf("%s: %d records, %d replays", what, n, w.replayCount.Load())
			}
		}
	}
}

// changeAll changes all records in the store.
func (s *storeState) changeAll(but func(*record.Record)) {
	for _, r := range s.allRecords() {
		s.mu.Lock()
		but(&r)
		s.put(r)
		s.mu.Unlock()
	}
}
