package login_test

import (
	"errors"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/login"
)

// accountResult returns the result of a request for an account: the name of the client, or the kind
// of the error.
func accountResult(c login.Client, err error) string {
	invalid, isInvalid := errors.AsType[*login.Invalid](err)
	_, isForbidden := errors.AsType[*login.Forbidden](err)
	switch {
	case isInvalid:
		return "invalid: " + invalid.Error()
	case isForbidden:
		return "forbidden"
	case err != nil:
		return err.Error()
	}
	return c.Name
}

func TestAccount_ChoosesUsersClient(t *testing.T) {
	const noAccount = "invalid: account_id is that of no account at which this user can log in"
	id := func(n int64) *int64 { return &n }
	suspend := func(w *fixture, name string) {
		c := w.client(name)
		c.Suspended = true
		w.directory.SetClient(c)
	}
	for what, x := range map[string]struct {
		but  func(*fixture, *login.User)
		id   *int64
		want string
	}{
		"none is named: the first":                    {nil, nil, "acme"},
		"none is named: the default, if there is one": {func(_ *fixture, u *login.User) { u.Accounts[1].Default = true }, nil, "globex"},
		"none is named, and the user has none":        {func(_ *fixture, u *login.User) { u.Accounts = nil }, nil, "forbidden"},
		"none is named, and the usual is suspended":   {func(w *fixture, _ *login.User) { suspend(w, "acme") }, nil, "forbidden"},
		"none is named, and the usual is gone":        {func(w *fixture, _ *login.User) { w.directory.RemoveClient("acme") }, nil, "forbidden"},
		"the first is named":                          {nil, id(1001), "acme"},
		"the second is named":                         {nil, id(1002), "globex"},
		"it is that of others":                        {nil, id(1003), noAccount},
		"no client has it":                            {nil, id(9999), noAccount},
		"it is none":                                  {nil, id(0), noAccount},
		"it is below none":                            {nil, id(-1), noAccount},
		"it is suspended":                             {func(w *fixture, _ *login.User) { suspend(w, "globex") }, id(1002), noAccount},
		"it is gone":                                  {func(w *fixture, _ *login.User) { w.directory.RemoveClient("globex") }, id(1002), noAccount},
		"it was taken from the user":                  {func(_ *fixture, u *login.User) { u.Accounts = u.Accounts[:1] }, id(1002), noAccount},
		"a younger client asks for the id too": {func(w *fixture, u *login.User) {
			w.markAccountIDHolder("acme")
			w.directory.SetClient(login.Client{Name: "a-namesake", AccountID: 1001, CreatedAt: noon.Add(time.Second)})
			u.Accounts = append(u.Accounts, login.Account{Client: "a-namesake"})
		}, id(1001), "acme"},
		"an older client asks for the id later": {func(w *fixture, u *login.User) {
			w.markAccountIDHolder("acme")
			w.directory.SetClient(login.Client{Name: "elder", AccountID: 1001, CreatedAt: noon.Add(-time.Second)})
			u.Accounts = append(u.Accounts, login.Account{Client: "elder"})
		}, id(1001), "acme"},
		"it is not decided who of two has the id": {func(w *fixture, _ *login.User) {
			w.directory.SetClient(login.Client{Name: "elder", AccountID: 1001, CreatedAt: noon.Add(-time.Second)})
		}, id(1001), noAccount},
		"another client has the id": {func(w *fixture, _ *login.User) {
			w.directory.SetClient(login.Client{Name: "younger", AccountID: 1001, CreatedAt: noon.Add(time.Second), HoldsAccountID: true})
		}, id(1001), noAccount},
		"no client has an id": {func(w *fixture, _ *login.User) {
			c := w.client("acme")
			c.AccountID = 0
			w.directory.SetClient(c)
		}, id(0), noAccount},
	} {
		w := newFixture(t)
		u := w.alice()
		if x.but != nil {
			x.but(w, &u)
		}
		s := w.newReplica(nil)
		if got := accountResult(s.Account(u, x.id)); got != x.want {
			t.Errorf("%s: %q, want %q", what, got, x.want)
		}
		if s.store.calls != 0 {
			t.Errorf("%s: the store was called", what)
		}
	}
}

func TestClientByName_NeedsAccount(t *testing.T) {
	w := newFixture(t)
	s := w.newReplica(nil)
	suspended := w.client("globex")
	suspended.Suspended = true
	w.directory.SetClient(suspended)
	for name, want := range map[string]bool{"acme": true, "globex": false, "initech": false, "absent": false, "": false} {
		if c, ok := s.ClientByName(w.alice(), name); ok != want || ok && c.Name != name {
			t.Errorf("%q: %t", name, ok)
		}
	}
}

// markAccountIDHolder sets the status of a client to record that it holds its account ID.
func (w *fixture) markAccountIDHolder(name string) {
	c := w.client(name)
	c.HoldsAccountID = true
	w.directory.SetClient(c)
}
