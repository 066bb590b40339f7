package verify_test

import (
	"slices"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/grant"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
	"github.com/apptoken/operator/internal/verify/verifytest"
)

// userKinds are the kinds that speak for a user; the first of them is no login.
var userKinds = []token.Kind{token.UserApplication, token.Login, token.Session, token.Open}

func aliceUser(change func(*verify.User)) verify.User {
	u := verify.User{
		Name: "alice", Username: "alice@example.com", UID: "7", Credential: "now",
		Accounts: map[string][]string{"acme": {"primary"}}, Namespaces: []string{"shop"},
	}
	if change != nil {
		change(&u)
	}
	return u
}

const sessionID = "5f0c0f4e-8d5b-4a52-9b1e-3a7d2c9e6f10"

// newUserFixture returns a fixture with one valid token of alice. Sessions get sessionID.
func newUserFixture(t *testing.T, kind token.Kind) *fixture {
	w := &fixture{tok: verifytest.Mint(t, kind, t.Name()+kind.String())}
	w.rec = record.Record{
		Kind: kind, Digest: w.tok.Digest(), Client: "acme", User: "alice", IssuedAt: noon,
		Owner: record.Owner{Kind: "User", Name: "alice", UID: "7"}, Credential: "now",
	}
	switch kind {
	case token.UserApplication:
		w.rec.Owner, w.rec.Credential = record.Owner{Kind: "ApplicationToken", Namespace: "shop", Name: "report", UID: "1"}, ""
	case token.Session:
		w.rec.Session = verify.SessionDigest(sessionID)
	}
	w.SetClient(acmeClient(nil))
	w.SetUser(aliceUser(nil))
	w.Enable(w.rec.Owner)
	w.Set(w.rec)
	return w
}

// A withdrawal from a user counts from the next verification on [3.6] [3.7], for credentials of
// every kind.
func TestUser_WithdrawalCountsAtOnce(t *testing.T) {
	set := func(change func(*verify.User)) func(*fixture) {
		return func(w *fixture) { w.SetUser(aliceUser(change)) }
	}
	back := set(nil)
	for name, x := range map[string]struct {
		away, back func(*fixture)
		want       verify.Verdict
	}{
		"the user":       {func(w *fixture) { w.RemoveUser("alice") }, back, verify.UserDisabled},
		"the user twice": {func(w *fixture) { w.RemoveUser("alice"); w.RemoveUser("alice") }, back, verify.UserDisabled},
		"the user's state": {
			set(func(u *verify.User) { u.Suspended = true }), back, verify.UserDisabled,
		},
		"every account": {
			set(func(u *verify.User) { u.Accounts = nil }), back, verify.UserDisabled,
		},
		"the account at this client, not that at another": {
			set(func(u *verify.User) { u.Accounts = map[string][]string{"beta": {"primary"}} }), back, verify.UserDisabled,
		},
		"the account's role": {
			set(func(u *verify.User) { u.Accounts = map[string][]string{"acme": nil} }), back, verify.RoleMissing,
		},
		"the account's role, not that of the same name at another": {
			set(func(u *verify.User) { u.Accounts = map[string][]string{"acme": {"other"}, "beta": {"primary"}} }), back, verify.RoleMissing,
		},
		"the client's role": {
			func(w *fixture) { w.SetClient(acmeClient(func(c *verify.Client) { c.Ceiling = grant.Ceiling{} })) },
			func(w *fixture) { w.SetClient(acmeClient(nil)) },
			verify.RoleMissing,
		},
		"the client": {
			func(w *fixture) { w.RemoveClient("acme") },
			func(w *fixture) { w.SetClient(acmeClient(nil)) },
			verify.ClientMissing,
		},
		"the record's user": {
			func(w *fixture) { r := w.rec; r.User = ""; w.Set(r) },
			func(w *fixture) { w.Set(w.rec) },
			verify.UserDisabled,
		},
		"the record's user, for another": {
			func(w *fixture) { r := w.rec; r.User = "bob"; w.Set(r) },
			func(w *fixture) { w.Set(w.rec) },
			verify.UserDisabled,
		},
		"the user, and the record is reported again": {
			func(w *fixture) { w.Remove(w.rec.Digest); w.RemoveUser("alice"); w.Set(w.rec) },
			back,
			verify.UserDisabled,
		},
		"the owner": {
			func(w *fixture) { w.Disable(w.rec.Owner) },
			func(w *fixture) { w.Enable(w.rec.Owner) },
			verify.OwnerDisabled,
		},
		"the owner, for a namesake": {
			func(w *fixture) { o := w.rec.Owner; w.Disable(o); o.UID = "8"; w.Enable(o) },
			func(w *fixture) { w.Enable(w.rec.Owner) },
			verify.OwnerDisabled,
		},
	} {
		for _, kind := range userKinds {
			t.Run(name+", "+kind.String(), func(t *testing.T) {
				w := newUserFixture(t, kind)
				facts := verify.Facts{Roles: []string{"primary"}, Permissions: []string{"search.query"}, Session: sessionID}
				for range 2 {
					if who, verdict := w.verifyNow(facts); verdict != verify.Valid || who.User.Name != "alice" {
						t.Fatalf("%s before", verdict)
					}
					x.away(w)
					if _, verdict := w.verifyNow(facts); verdict != x.want {
						t.Errorf("%s, want %s", verdict, x.want)
					}
					x.back(w)
				}
				if _, verdict := w.verifyNow(facts); verdict != verify.Valid {
					t.Errorf("%s after", verdict)
				}
			})
		}
	}
}

// A login ends when the password that opened it changes, and at nothing less. Setting the old
// password again means trusting it again.
func TestUser_ChangedPasswordEndsLoginsOnly(t *testing.T) {
	for _, kind := range userKinds {
		for name, x := range map[string]struct {
			opened, now string
			good        bool
		}{
			"the same":                 {"now", "now", true},
			"another":                  {"before", "now", false},
			"one that begins alike":    {"no", "now", false},
			"none, and there was":      {"now", "", false},
			"one, and there was none":  {"", "now", false},
			"none, and there was none": {"", "", false},
		} {
			w := newUserFixture(t, kind)
			r := w.rec
			r.Credential = x.opened
			w.Set(r)
			w.SetUser(aliceUser(func(u *verify.User) { u.Credential = x.now }))
			want := verify.PasswordChanged
			if x.good || kind == token.UserApplication {
				want = verify.Valid
			}
			if _, verdict := w.verifyNow(verify.Facts{Session: sessionID}); verdict != want {
				t.Errorf("%s, %s: %s, want %s", kind, name, verdict, want)
			}
		}
		w := newUserFixture(t, kind)
		w.SetUser(aliceUser(func(u *verify.User) { u.Credential = "next" }))
		w.SetUser(aliceUser(nil))
		if _, verdict := w.verifyNow(verify.Facts{Session: sessionID}); verdict != verify.Valid {
			t.Errorf("%s, changed and changed back: %s", kind, verdict)
		}
	}
}

// A token of a user holds the roles of the user's account within the client's ceiling [3.6],
// whatever its record says.
func TestUser_HoldsAccountWithinCeiling(t *testing.T) {
	for _, kind := range userKinds {
		w := newUserFixture(t, kind)
		w.SetClient(acmeClient(func(c *verify.Client) {
			c.Ceiling = grant.NewCeiling([]grant.Role{{Name: "primary", Permissions: []string{"search.*"}}, {Name: "other", Permissions: []string{"x.y"}}})
		}))
		r := w.rec
		r.Roles = []string{"other"}
		if kind == token.UserApplication { // the permissions of a login narrow it
			r.Permissions = []string{"x.y"}
		}
		w.Set(r)
		w.SetUser(aliceUser(func(u *verify.User) {
			u.Accounts = map[string][]string{"acme": {"root", "primary"}, "beta": {"other"}}
		}))
		who, verdict := w.verifyNow(verify.Facts{Session: sessionID})
		if verdict != verify.Valid || !slices.Equal(who.Roles, []string{"primary"}) || !slices.Equal(who.Permissions, []string{"search.*"}) {
			t.Errorf("%s: %s, roles %q, permissions %q", kind, verdict, who.Roles, who.Permissions)
		}
	}
}

// A program's token speaks for its client alone, even if its record names a user.
func TestUser_ApplicationTokenSpeaksForNone(t *testing.T) {
	w := newFixture(t)
	w.SetUser(aliceUser(func(u *verify.User) { u.Accounts = map[string][]string{"acme": {"other"}} }))
	r := w.rec
	r.User = "alice"
	w.Set(r)
	if who, verdict := w.verifyNow(verify.Facts{Roles: []string{"primary"}}); verdict != verify.Valid || who.User != nil {
		t.Errorf("%s, for %v", verdict, who.User)
	}
}

// An identity that was returned does not change afterwards.
func TestIdentity_DoesNotChangeAfterwards(t *testing.T) {
	w := newUserFixture(t, token.Login)
	who, _ := w.verifyNow(verify.Facts{})
	w.SetUser(aliceUser(func(u *verify.User) { u.Username, u.Accounts = "other", nil }))
	w.verifyNow(verify.Facts{})
	if who.User.Username != "alice@example.com" || who.RoleList != "primary" {
		t.Errorf("it has become %v with %s", who.User, who.RoleList)
	}
}

func TestIndex_ForgetsDeletedUsers(t *testing.T) {
	for _, kind := range userKinds {
		w := newUserFixture(t, kind)
		other := w.rec
		other.Digest = verifytest.Mint(t, kind, "other").Digest()
		w.Set(other)
		for _, away := range []func(){
			func() { w.Remove(other.Digest) }, func() { w.RemoveUser("alice") }, func() { w.Disable(w.rec.Owner) },
			func() { w.End(w.rec.Digest); w.Remove(w.rec.Digest) }, func() { w.RemoveClient("acme") },
		} {
			if w.EntryCount() == 0 {
				t.Errorf("%s: what is there is forgotten", kind)
			}
			away()
		}
		if n := w.EntryCount(); n != 0 {
			t.Errorf("%s: %d things are remembered", kind, n)
		}
		w.Set(w.rec)
		w.Set(func() record.Record { r := w.rec; r.User = "bob"; return r }())
		w.RemoveUser("absent")
		w.Remove(w.rec.Digest)
		if n := w.EntryCount(); n != 0 {
			t.Errorf("%s: %d things are remembered of who was never there", kind, n)
		}
	}
}

func TestVerify_UsersAllocateNothing(t *testing.T) {
	for _, kind := range userKinds {
		w := newUserFixture(t, kind)
		r := w.rec
		r.IdleTimeout = time.Hour
		w.Set(r)
		text, facts := w.tok.Reveal(), verify.Facts{Permissions: []string{"search.query"}, Roles: []string{"primary"}, Session: sessionID}
		if n := testing.AllocsPerRun(1000, func() {
			if _, verdict := w.Verify(noon, text, facts); verdict != verify.Valid {
				t.Fatal(verdict)
			}
			w.Verify(noon, text, verify.Facts{Session: "no session"})
			w.Verify(noon.Add(time.Hour), text, facts)
		}); n != 0 {
			t.Errorf("%s: %v allocations", kind, n)
		}
	}
}
