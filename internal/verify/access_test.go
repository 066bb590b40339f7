package verify_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/grant"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
	"github.com/apptoken/operator/internal/verify/verifytest"
)

// accessFixture is a fixture with an access token of its token.
type accessFixture struct {
	*fixture
	access token.Token
	child  record.Record
}

func newAccessFixture(t testing.TB, permissions ...string) *accessFixture {
	w := &accessFixture{fixture: newFixture(t), access: verifytest.Mint(t, token.Access, t.Name())}
	w.child = record.Record{
		Kind: token.Access, Digest: w.access.Digest(), Parent: w.rec.Digest, Client: "acme", Permissions: permissions, IssuedAt: noon,
		ExpiresAt: noon.Add(time.Hour), Owner: record.Owner{Kind: "TokenRecord", Name: w.rec.Name(), UID: "r"},
	}
	w.Set(w.child)
	return w
}

func (w *accessFixture) verdict(f verify.Facts) verify.Verdict {
	_, v := w.Verify(noon, w.access.Reveal(), f)
	return v
}

func TestAccess_HasAuthorityOfParent(t *testing.T) {
	w := newAccessFixture(t)
	who, verdict := w.Verify(noon, w.access.Reveal(), verify.Facts{Roles: []string{"primary"}, Permissions: []string{"search.query"}, Clients: []string{"acme"}})
	if verdict != verify.Valid || who.Subject != "shop/indexer" || who.Kind != token.Access || who.ID.String() != w.child.Name() || !who.ExpiresAt.Equal(w.child.ExpiresAt) {
		t.Errorf("%s: %+v", verdict, who)
	}
	narrow := newAccessFixture(t, "search.query")
	who, verdict = narrow.Verify(noon, narrow.access.Reveal(), verify.Facts{Permissions: []string{"search.query"}})
	if verdict != verify.Valid || len(who.Roles) > 0 || who.RoleList != "" || !slices.Equal(who.Permissions, []string{"search.query"}) || !who.IsNarrowed {
		t.Errorf("%s: %+v", verdict, who.Held)
	}
	if got := narrow.verdict(verify.Facts{Roles: []string{"primary"}}); got != verify.RoleMissing {
		t.Errorf("a narrowed one and a role: %s", got)
	}
	narrow.SetClient(acmeClient(func(c *verify.Client) { c.Ceiling = grant.NewCeiling([]grant.Role{{Name: "primary"}}) }))
	if got := narrow.verdict(verify.Facts{Permissions: []string{"search.query"}}); got != verify.PermissionMissing {
		t.Errorf("after its parent has lost the permission: %s", got)
	}
}

// An access token ends with its parent, in any order of events.
func TestAccess_EndsWithParent(t *testing.T) {
	for name, x := range map[string]struct {
		away, back func(*accessFixture)
		want       verify.Verdict
	}{
		"the parent is deleted": {
			func(w *accessFixture) { w.Remove(w.rec.Digest) }, func(w *accessFixture) { w.Set(w.rec) }, verify.Unknown,
		},
		"the parent is ended here": {
			func(w *accessFixture) { w.End(w.rec.Digest); w.Set(w.rec) }, func(w *accessFixture) { w.Remove(w.rec.Digest); w.Set(w.rec) }, verify.Unknown,
		},
		"the parent is suspended": {
			func(w *accessFixture) { r := w.rec; r.Suspended = true; w.Set(r) }, func(w *accessFixture) { w.Set(w.rec) }, verify.Suspended,
		},
		"the parent has expired": {
			func(w *accessFixture) { r := w.rec; r.ExpiresAt = noon; w.Set(r) }, func(w *accessFixture) { w.Set(w.rec) }, verify.Expired,
		},
		"the owner of the parent is disabled": {
			func(w *accessFixture) { w.Disable(w.rec.Owner) }, func(w *accessFixture) { w.Enable(w.rec.Owner) }, verify.OwnerDisabled,
		},
		"the client is suspended": {
			func(w *accessFixture) { w.SetClient(acmeClient(func(c *verify.Client) { c.Suspended = true })) },
			func(w *accessFixture) { w.SetClient(acmeClient(nil)) }, verify.ClientSuspended,
		},
		"the namespace is granted nothing": {
			func(w *accessFixture) { w.SetClient(acmeClient(func(c *verify.Client) { c.Draw = nil })) },
			func(w *accessFixture) { w.SetClient(acmeClient(nil)) }, verify.NamespaceNotGranted,
		},
		"the parent is bound to addresses": {
			func(w *accessFixture) { r := w.rec; r.SourceRanges = []string{"10.0.0.0/8"}; w.Set(r) }, func(w *accessFixture) { w.Set(w.rec) }, verify.SourceRefused,
		},
		"the parent loses its role": {
			func(w *accessFixture) { r := w.rec; r.Roles = nil; w.Set(r) }, func(w *accessFixture) { w.Set(w.rec) }, verify.PermissionMissing,
		},
		"it has expired itself": {
			func(w *accessFixture) { r := w.child; r.ExpiresAt = noon; w.Set(r) }, func(w *accessFixture) { w.Set(w.child) }, verify.Expired,
		},
		"it has no end": {
			func(w *accessFixture) { r := w.child; r.ExpiresAt = time.Time{}; w.Set(r) }, func(w *accessFixture) { w.Set(w.child) }, verify.Expired,
		},
		"it names no parent": {
			func(w *accessFixture) { r := w.child; r.Parent = token.Digest{}; w.Set(r) }, func(w *accessFixture) { w.Set(w.child) }, verify.Unknown,
		},
		"it is its own parent": {
			func(w *accessFixture) { r := w.child; r.Parent = r.Digest; w.Set(r) }, func(w *accessFixture) { w.Set(w.child) }, verify.Unknown,
		},
		"it is suspended itself": {
			func(w *accessFixture) { r := w.child; r.Suspended = true; w.Set(r) }, func(w *accessFixture) { w.Set(w.child) }, verify.Suspended,
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, w := range []*accessFixture{newAccessFixture(t), newAccessFixture(t, "search.query")} {
				facts := verify.Facts{Permissions: []string{"search.query"}}
				for range 2 {
					if got := w.verdict(facts); got != verify.Valid {
						t.Fatalf("%s before", got)
					}
					x.away(w)
					if got := w.verdict(facts); got != x.want {
						t.Errorf("%s, want %s", got, x.want)
					}
					x.back(w)
				}
				if got := w.verdict(facts); got != verify.Valid {
					t.Errorf("%s after", got)
				}
			}
		})
	}
}

func TestAccess_AllocatesNothing(t *testing.T) {
	w, narrow := newAccessFixture(t), newAccessFixture(t, "search.query")
	text, other := w.access.Reveal(), narrow.access.Reveal()
	facts := verify.Facts{Permissions: []string{"search.query"}}
	if n := testing.AllocsPerRun(1000, func() {
		w.Verify(noon, text, facts)
		narrow.Verify(noon, other, facts)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestAccess_EqualScopesAreShared(t *testing.T) {
	w := newAccessFixture(t, "search.query")
	other := verifytest.Mint(t, token.Access, "other")
	r := w.child
	r.Digest = other.Digest()
	w.Set(r)
	a, _ := w.Verify(noon, w.access.Reveal(), verify.Facts{})
	b, _ := w.Verify(noon, other.Reveal(), verify.Facts{})
	if a.Held == nil || a.Held != b.Held {
		t.Error("two access tokens of one scope do not share what they hold")
	}
	for _, d := range []token.Digest{r.Digest, w.child.Digest, w.rec.Digest} {
		w.Remove(d)
	}
	w.Disable(w.rec.Owner)
	w.RemoveClient("acme")
	if n := w.EntryCount(); n != 0 {
		t.Errorf("%d things are remembered", n)
	}
}

// recordMap is a record store.
type recordMap map[token.Digest]record.Record

func (m recordMap) Find(_ context.Context, d token.Digest) (record.Record, error) {
	if r, ok := m[d]; ok {
		return r, nil
	}
	return record.Record{}, record.ErrGone
}

// failingStore is a record store that is away.
type failingStore struct{}

func (failingStore) Find(context.Context, token.Digest) (record.Record, error) {
	return record.Record{}, errors.New("away")
}

// A replica may see an access token before its watch reports the record, and that of the parent.
func TestAccess_UnindexedOneIsLookedUpWithItsParent(t *testing.T) {
	for name, x := range map[string]struct {
		indexed, stored []string
		want            verify.Verdict
	}{
		"both are stored":              {nil, []string{"child", "parent"}, verify.Valid},
		"the parent is indexed":        {[]string{"parent"}, []string{"child"}, verify.Valid},
		"the parent is gone":           {nil, []string{"child"}, verify.Unknown},
		"the child alone is indexed":   {[]string{"child"}, []string{"parent"}, verify.Unknown},
		"neither is there":             {nil, nil, verify.Unknown},
		"the parent alone is there":    {[]string{"parent"}, nil, verify.Unknown},
		"both are indexed, not stored": {[]string{"child", "parent"}, nil, verify.Valid},
	} {
		w := newAccessFixture(t, "search.query")
		all := map[string]record.Record{"child": w.child, "parent": w.rec}
		store := recordMap{}
		for name, r := range all {
			if !slices.Contains(x.indexed, name) {
				w.Remove(r.Digest)
			}
			if slices.Contains(x.stored, name) {
				store[r.Digest] = r
			}
		}
		options := verify.Options{LookupsPerSecond: 50, Now: func() time.Time { return noon }, OnLookup: func(verify.Lookup) {}}
		v := verify.NewVerifier(&w.Index, store, options)
		v.MarkFresh()
		facts := verify.Facts{Permissions: []string{"search.query"}}
		for range 2 {
			if _, got := v.Verify(t.Context(), w.access.Reveal(), facts); got != x.want {
				t.Errorf("%s: %s, want %s", name, got, x.want)
			}
		}
		if x.want == verify.Valid && len(x.indexed) == 0 {
			away := verify.NewVerifier(&w.Index, failingStore{}, options)
			away.MarkFresh()
			if _, got := away.Verify(t.Context(), w.access.Reveal(), facts); got != verify.Undecided {
				t.Errorf("%s, and the store is away: %s", name, got)
			}
		}
	}
}

// A parent whose access tokens are in use must not be retired for lack of use.
func TestAccess_UseIsOneOfParent(t *testing.T) {
	w := newAccessFixture(t)
	v := verify.NewVerifier(&w.Index, recordMap{}, verify.Options{LookupsPerSecond: 1, Now: func() time.Time { return noon }, OnLookup: func(verify.Lookup) {}})
	v.MarkFresh()
	if _, got := v.Verify(t.Context(), w.access.Reveal(), verify.Facts{}); got != verify.Valid {
		t.Fatal(got)
	}
	uses := w.TakeUses(10)
	if len(uses) != 1 || uses[0].ID.String() != w.rec.Name() {
		t.Errorf("%+v", uses)
	}
}

// An access token is no password, whatever username is beside it and whether or not the client
// allows Basic. A program that sends Basic has the application token.
func TestAccess_IsNoPassword(t *testing.T) {
	for _, allows := range []bool{false, true} {
		for _, w := range []*accessFixture{newAccessFixture(t), newAccessFixture(t, "search.query")} {
			w.SetClient(acmeClient(func(c *verify.Client) { c.AllowsBasic = allows }))
			for _, username := range []string{"acme", "shop/indexer", "another"} {
				if got := w.verdict(verify.Facts{BasicUsername: username}); got != verify.BasicForbidden {
					t.Errorf("%s, allowed %t: %s", username, allows, got)
				}
			}
		}
	}
}
