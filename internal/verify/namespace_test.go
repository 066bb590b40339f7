package verify_test

import (
	"testing"

	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
	"github.com/apptoken/operator/internal/verify/verifytest"
)

// byLabel grants the role primary to namespaces of team search.
func byLabel(c *verify.Client) {
	c.Draw = func(_ string, labels map[string]string) ([]string, bool) {
		return []string{"primary"}, labels["team"] == "search"
	}
}

// Invariant 6: what is withdrawn counts from the next verification on, whatever the record still says.
func TestVerify_WithdrawnGrant(t *testing.T) {
	search, other := map[string]string{"team": "search"}, map[string]string{"team": "other"}
	for name, x := range map[string]struct {
		given, away func(*twist)
		want        verify.Verdict
	}{
		"the namespace is named no more": {
			func(w *twist) { w.SetClient(acme(nil)) },
			func(w *twist) { w.SetClient(acme(func(c *verify.Client) { c.Draw = grantTo("store") })) },
			verify.NamespaceNotGranted,
		},
		"the client grants nothing at all": {
			func(w *twist) { w.SetClient(acme(nil)) },
			func(w *twist) { w.SetClient(acme(func(c *verify.Client) { c.Draw = nil })) },
			verify.NamespaceNotGranted,
		},
		"the role is out of the grant": {
			func(w *twist) { w.SetClient(acme(nil)) },
			func(w *twist) {
				w.SetClient(acme(func(c *verify.Client) {
					c.Draw = func(string, map[string]string) ([]string, bool) { return []string{"other"}, true }
				}))
			},
			verify.RoleMissing,
		},
		"the namespace has another label": {
			func(w *twist) { w.SetClient(acme(byLabel)); w.SetNamespace("shop", search) },
			func(w *twist) { w.SetNamespace("shop", other) },
			verify.NamespaceNotGranted,
		},
		"the namespace has no label": {
			func(w *twist) { w.SetClient(acme(byLabel)); w.SetNamespace("shop", search) },
			func(w *twist) { w.SetNamespace("shop", nil) },
			verify.NamespaceNotGranted,
		},
		"the namespace is gone": {
			func(w *twist) { w.SetClient(acme(byLabel)); w.SetNamespace("shop", search) },
			func(w *twist) { w.RemoveNamespace("shop") },
			verify.NamespaceNotGranted,
		},
		"the namespace needs a grant from now on": {
			func(w *twist) {
				w.SetClient(acme(func(c *verify.Client) { c.Draw = nil }))
				w.ResumeExempt(w.rec.Owner)
			},
			func(w *twist) { w.Resume(w.rec.Owner) },
			verify.NamespaceNotGranted,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTwist(t)
			facts := verify.Facts{Roles: []string{"primary"}, Permissions: []string{"search.query"}}
			for range 2 {
				x.given(w)
				if _, verdict := w.ask(facts); verdict != verify.Good {
					t.Fatalf("%s before", verdict)
				}
				x.away(w)
				if _, verdict := w.ask(facts); verdict != x.want {
					t.Errorf("%s, want %s", verdict, x.want)
				}
			}
		})
	}
}

// ofAlice is a twist whose token speaks for the user alice of uid 1.
func ofAlice(t *testing.T, uid string) (*twist, verify.User) {
	t.Helper()
	w := newTwist(t)
	w.Remove(w.rec.Digest)
	w.tok = verifytest.Mint(t, token.UserApplication, t.Name())
	w.rec.Kind, w.rec.Digest, w.rec.User, w.rec.UserUID, w.rec.Roles = token.UserApplication, w.tok.Digest(), "alice", uid, nil
	w.Set(w.rec)
	alice := verify.User{Name: "alice", UID: "1", Since: noon.Unix(), Accounts: map[string][]string{"acme": {"primary"}}, Namespaces: []string{"shop"}}
	w.SetUser(alice)
	return w, alice
}

func TestVerify_NamesakeOfUserIsRefused(t *testing.T) {
	for name, x := range map[string]struct {
		uid   string
		twist func(*verify.User)
		want  verify.Verdict
	}{
		"the user":                                {"1", nil, verify.Good},
		"the user, restored to another age":       {"1", func(u *verify.User) { u.Since++ }, verify.Good},
		"a namesake":                              {"1", func(u *verify.User) { u.UID = "2" }, verify.UserStopped},
		"a namesake who claims an older age":      {"1", func(u *verify.User) { u.UID, u.Since = "2", 1 }, verify.UserStopped},
		"a user who lists the namespace no more":  {"1", func(u *verify.User) { u.Namespaces = []string{"store"} }, verify.NamespaceNotGranted},
		"of a record without uid: a user of then": {"", nil, verify.Good},
		"of a record without uid: a user of later": {
			"", func(u *verify.User) { u.Since++ }, verify.UserStopped,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, alice := ofAlice(t, x.uid)
			if x.twist != nil {
				w.RemoveUser("alice")
				x.twist(&alice)
				w.SetUser(alice)
			}
			if _, verdict := w.ask(verify.Facts{}); verdict != x.want {
				t.Errorf("%s, want %s", verdict, x.want)
			}
		})
	}
}

// The labels of a namespace are compared by identity at each verification, so an equal set must not make a new one.
func TestVerify_SameLabelsKeepTheCut(t *testing.T) {
	w := newTwist(t)
	w.SetNamespace("shop", map[string]string{"team": "search"})
	before, _ := w.ask(verify.Facts{})
	w.SetNamespace("shop", map[string]string{"team": "search"})
	if after, _ := w.ask(verify.Facts{}); after.Held != before.Held {
		t.Error("a namespace that is as it was made a new cut")
	}
}

func TestVerify_GrantsAllocateNothing(t *testing.T) {
	w, _ := ofAlice(t, "1")
	text := w.tok.Reveal()
	exempt := newTwist(t)
	exempt.ResumeExempt(exempt.rec.Owner)
	other := exempt.tok.Reveal()
	if n := testing.AllocsPerRun(1000, func() {
		w.Verify(noon, text, verify.Facts{})
		exempt.Verify(noon, other, verify.Facts{})
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestVerify_GoneNamespacesAreForgotten(t *testing.T) {
	w := newTwist(t)
	w.SetNamespace("shop", nil)
	w.Remove(w.rec.Digest)
	w.Stop(w.rec.Owner)
	w.RemoveClient("acme")
	w.RemoveNamespace("shop")
	w.RemoveNamespace("nowhere")
	if n := w.Remembered(); n != 0 {
		t.Errorf("%d things are remembered", n)
	}
}
