package verify_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/apptoken/operator/internal/grant"
	"github.com/apptoken/operator/internal/record"
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

// Invariant 6: a withdrawal counts from the next verification on, whatever the record still says.
func TestVerify_WithdrawnGrantCountsAtOnce(t *testing.T) {
	search, other := map[string]string{"team": "search"}, map[string]string{"team": "other"}
	for name, x := range map[string]struct {
		given, away func(*fixture)
		want        verify.Verdict
	}{
		"the namespace is named no more": {
			func(w *fixture) { w.SetClient(acmeClient(nil)) },
			func(w *fixture) { w.SetClient(acmeClient(func(c *verify.Client) { c.Draw = grantTo("store") })) },
			verify.NamespaceNotGranted,
		},
		"the client grants nothing at all": {
			func(w *fixture) { w.SetClient(acmeClient(nil)) },
			func(w *fixture) { w.SetClient(acmeClient(func(c *verify.Client) { c.Draw = nil })) },
			verify.NamespaceNotGranted,
		},
		"the role is out of the grant": {
			func(w *fixture) { w.SetClient(acmeClient(nil)) },
			func(w *fixture) {
				w.SetClient(acmeClient(func(c *verify.Client) {
					c.Draw = func(string, map[string]string) ([]string, bool) { return []string{"other"}, true }
				}))
			},
			verify.RoleMissing,
		},
		"the namespace has another label": {
			func(w *fixture) { w.SetClient(acmeClient(byLabel)); w.SetNamespace("shop", search) },
			func(w *fixture) { w.SetNamespace("shop", other) },
			verify.NamespaceNotGranted,
		},
		"the namespace has no label": {
			func(w *fixture) { w.SetClient(acmeClient(byLabel)); w.SetNamespace("shop", search) },
			func(w *fixture) { w.SetNamespace("shop", nil) },
			verify.NamespaceNotGranted,
		},
		"the namespace is gone": {
			func(w *fixture) { w.SetClient(acmeClient(byLabel)); w.SetNamespace("shop", search) },
			func(w *fixture) { w.RemoveNamespace("shop") },
			verify.NamespaceNotGranted,
		},
		"the namespace needs a grant from now on": {
			func(w *fixture) {
				w.SetClient(acmeClient(func(c *verify.Client) { c.Draw = nil }))
				w.EnableExempt(w.rec.Owner)
			},
			func(w *fixture) { w.Enable(w.rec.Owner) },
			verify.NamespaceNotGranted,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			facts := verify.Facts{Roles: []string{"primary"}, Permissions: []string{"search.query"}}
			for range 2 {
				x.given(w)
				if _, verdict := w.verifyNow(facts); verdict != verify.Valid {
					t.Fatalf("%s before", verdict)
				}
				x.away(w)
				if _, verdict := w.verifyNow(facts); verdict != x.want {
					t.Errorf("%s, want %s", verdict, x.want)
				}
			}
		})
	}
}

// newAliceFixture returns a twist whose token speaks for the user alice with the UID 1.
func newAliceFixture(t *testing.T, uid string) (*fixture, verify.User) {
	t.Helper()
	w := newFixture(t)
	w.Remove(w.rec.Digest)
	w.tok = verifytest.Mint(t, token.UserApplication, t.Name())
	w.rec.Kind, w.rec.Digest, w.rec.User, w.rec.UserUID, w.rec.Roles = token.UserApplication, w.tok.Digest(), "alice", uid, nil
	w.Set(w.rec)
	alice := verify.User{Name: "alice", UID: "1", CreatedAt: noon.Unix(), Accounts: map[string][]string{"acme": {"primary"}}, Namespaces: []string{"shop"}}
	w.SetUser(alice)
	return w, alice
}

func TestVerify_NamesakeOfUserIsRejected(t *testing.T) {
	for name, x := range map[string]struct {
		uid     string
		fixture func(*verify.User)
		want    verify.Verdict
	}{
		"the user":                                {"1", nil, verify.Valid},
		"the user, restored to another age":       {"1", func(u *verify.User) { u.CreatedAt++ }, verify.Valid},
		"a namesake":                              {"1", func(u *verify.User) { u.UID = "2" }, verify.UserDisabled},
		"a namesake who claims an older age":      {"1", func(u *verify.User) { u.UID, u.CreatedAt = "2", 1 }, verify.UserDisabled},
		"a user who lists the namespace no more":  {"1", func(u *verify.User) { u.Namespaces = []string{"store"} }, verify.NamespaceNotGranted},
		"of a record without uid: a user of then": {"", nil, verify.Valid},
		"of a record without uid: a user of later": {
			"", func(u *verify.User) { u.CreatedAt++ }, verify.UserDisabled,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, alice := newAliceFixture(t, x.uid)
			if x.fixture != nil {
				w.RemoveUser("alice")
				x.fixture(&alice)
				w.SetUser(alice)
			}
			if _, verdict := w.verifyNow(verify.Facts{}); verdict != x.want {
				t.Errorf("%s, want %s", verdict, x.want)
			}
		})
	}
}

// New labels invalidate the cuts of a namespace, so an equal set of labels must not make a new cut.
func TestVerify_SameLabelsKeepTheCut(t *testing.T) {
	w, drawn := newFixture(t), 0
	w.SetClient(acmeClient(func(c *verify.Client) {
		c.Draw = func(string, map[string]string) ([]string, bool) { drawn++; return []string{"primary"}, true }
	}))
	for range 3 {
		w.SetNamespace("shop", map[string]string{"team": "search"})
		w.verifyNow(verify.Facts{})
	}
	if drawn != 1 {
		t.Errorf("the client was asked %d times for what a namespace may draw, which stayed as it was", drawn)
	}
}

// byLabels grants a namespace the role of each of its labels.
func byLabels(_ string, labels map[string]string) ([]string, bool) {
	return slices.Collect(maps.Keys(labels)), len(labels) > 0
}

// grantModel is a model of the index: a token for each combination of client, namespace and roles,
// and what they may draw.
type grantModel struct {
	clients    [2]verify.Client // as last set
	namespaces map[string]map[string]string
	tokens     []token.Token
	records    []record.Record
}

func newGrantModel(t *testing.T) *grantModel {
	d := &grantModel{namespaces: map[string]map[string]string{}}
	for c := range d.clients {
		d.clients[c] = verify.Client{Name: fmt.Sprintf("client-%d", c), Draw: byLabels}
		for n := range 4 {
			for _, roles := range [][]string{{"reader"}, {"writer"}, {"reader", "writer"}} {
				tok := verifytest.Mint(t, token.Application, fmt.Sprint(t.Name(), c, n, roles))
				d.tokens = append(d.tokens, tok)
				d.records = append(d.records, record.Record{
					Kind: token.Application, Digest: tok.Digest(), Client: d.clients[c].Name, Roles: roles, IssuedAt: noon,
					Owner: record.Owner{Kind: "ApplicationToken", Namespace: fmt.Sprintf("team-%d", n), Name: fmt.Sprint(c, roles), UID: "1"},
				})
			}
		}
	}
	return d
}

func (d *grantModel) index() *verify.Index {
	x := &verify.Index{}
	for _, c := range d.clients {
		x.SetClient(c)
	}
	for name, labels := range d.namespaces {
		x.SetNamespace(name, labels)
	}
	for _, r := range d.records {
		x.Enable(r.Owner)
		x.Set(r)
	}
	return x
}

// change makes a random change to an index and to the model.
func (d *grantModel) change(x *verify.Index, r *rand.Rand) {
	if r.IntN(4) == 0 {
		c := &d.clients[r.IntN(len(d.clients))]
		c.Ceiling = grant.NewCeiling([]grant.Role{
			{Name: "reader", Permissions: []string{"search.query", "search.*"}[:1+r.IntN(2)]},
			{Name: "writer", Permissions: []string{"search.write"}},
		}[:r.IntN(3)])
		x.SetClient(*c)
		return
	}
	name := fmt.Sprintf("team-%d", r.IntN(4))
	if r.IntN(4) == 0 {
		delete(d.namespaces, name)
		x.RemoveNamespace(name)
		return
	}
	labels := map[string]string{}
	for _, role := range []string{"reader", "writer", "other"} {
		if r.IntN(2) == 0 {
			labels[role] = ""
		}
	}
	d.namespaces[name] = labels
	x.SetNamespace(name, labels)
}

// Invariant 6, where namespaces share what their tokens hold: the roles that one of them may draw
// never count for another.
func TestVerify_NamespaceHoldsDrawableRolesOnly(t *testing.T) {
	d, r := newGrantModel(t), rand.New(rand.NewPCG(1, 2))
	lived := d.index()
	good := 0
	for step := range 300 {
		d.change(lived, r)
		fresh := d.index()
		for i, tok := range d.tokens {
			got, verdict := lived.Verify(noon, tok.Reveal(), verify.Facts{})
			want, due := fresh.Verify(noon, tok.Reveal(), verify.Facts{})
			if verdict != due {
				t.Fatalf("step %d, token %d: %s, want %s", step, i, verdict, due)
			}
			if verdict != verify.Valid {
				continue
			}
			good++
			if got.Held.Client.Name != d.records[i].Client || got.Held.RoleList != want.Held.RoleList || got.Held.PermissionList != want.Held.PermissionList {
				t.Fatalf("step %d, token %d holds %q and %q of %s, want %q and %q", step, i,
					got.Held.RoleList, got.Held.PermissionList, got.Held.Client.Name, want.Held.RoleList, want.Held.PermissionList)
			}
		}
	}
	if good == 0 {
		t.Error("no token was ever good")
	}
}

// Invariant 6, during concurrent verifications: an evaluation that began before a label was removed
// must not outlast it.
func TestVerify_ChangedLabelsCountDuringVerifications(t *testing.T) {
	w := newFixture(t)
	w.SetClient(acmeClient(byLabel))
	facts := verify.Facts{Roles: []string{"primary"}}
	text := w.tok.Reveal()
	var over sync.WaitGroup
	var ended atomic.Bool
	for range 3 {
		over.Go(func() {
			for !ended.Load() {
				w.Verify(noon, text, facts)
			}
		})
	}
	for i := range 10_000 {
		w.SetNamespace("shop", map[string]string{"team": "search"})
		if _, verdict := w.verifyNow(facts); verdict != verify.Valid {
			t.Errorf("round %d: %s with the label", i, verdict)
			break
		}
		w.SetNamespace("shop", nil)
		if _, verdict := w.verifyNow(facts); verdict != verify.NamespaceNotGranted {
			t.Errorf("round %d: %s without the label", i, verdict)
			break
		}
	}
	ended.Store(true)
	over.Wait()
}

// A client's tokens in a thousand namespaces must not hold a thousand copies of what they may do.
func TestVerify_NamespacesShareEqualGrants(t *testing.T) {
	d := newGrantModel(t)
	for n := range 4 {
		d.namespaces[fmt.Sprintf("team-%d", n)] = map[string]string{"reader": ""}
	}
	x := d.index()
	held := map[*verify.Held]bool{}
	for _, tok := range d.tokens {
		who, _ := x.Verify(noon, tok.Reveal(), verify.Facts{})
		held[who.Held] = true
	}
	if want := len(d.tokens) / 4; len(held) > want {
		t.Errorf("%d tokens of 4 namespaces hold %d different things, want at most %d", len(d.tokens), len(held), want)
	}
}

func TestVerify_GrantsAllocateNothing(t *testing.T) {
	w, _ := newAliceFixture(t, "1")
	text := w.tok.Reveal()
	exempt := newFixture(t)
	exempt.EnableExempt(exempt.rec.Owner)
	other := exempt.tok.Reveal()
	if n := testing.AllocsPerRun(1000, func() {
		w.Verify(noon, text, verify.Facts{})
		exempt.Verify(noon, other, verify.Facts{})
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestIndex_ForgetsDeletedNamespaces(t *testing.T) {
	w := newFixture(t)
	w.SetNamespace("shop", nil)
	w.Remove(w.rec.Digest)
	w.Disable(w.rec.Owner)
	w.RemoveClient("acme")
	w.RemoveNamespace("shop")
	w.RemoveNamespace("nowhere")
	if n := w.EntryCount(); n != 0 {
		t.Errorf("%d things are remembered", n)
	}
}
