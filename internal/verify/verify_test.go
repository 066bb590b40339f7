package verify_test

import (
	"testing"
	"time"

	"github.com/apptoken/operator/internal/grant"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
	"github.com/apptoken/operator/internal/verify/verifytest"
)

func TestVectors(t *testing.T) {
	w := verifytest.Load(t)
	asked := 0
	for _, v := range w.Vectors {
		if v.Credential == nil {
			continue // about the headers of a request
		}
		asked++
		t.Run(v.Name, func(t *testing.T) {
			who, verdict := w.Index.Verify(w.Now, *v.Credential, v.Facts())
			if verdict.String() != v.Verdict {
				t.Fatalf("%s, want %s", verdict, v.Verdict)
			}
			if verdict != verify.Valid {
				return
			}
			if err := v.CompareIdentity(who); err != nil {
				t.Error(err)
			}
			if bare, verdict := w.Index.Verify(w.Now, *v.Credential, verify.Facts{}); verdict.String() != v.BareVerdict() {
				t.Errorf("%s of %s where nothing is known, want %s", verdict, bare.Subject, v.BareVerdict())
			}
		})
	}
	if asked < 120 {
		t.Errorf("%d vectors", asked)
	}
}

// fixture is a fixture with one valid token, which a test changes.
type fixture struct {
	verify.Index
	tok token.Token
	rec record.Record
}

var noon = time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)

// grantTo returns a Draw function that grants the role primary to a namespace.
func grantTo(name string) func(string, map[string]string) ([]string, bool) {
	return func(namespace string, _ map[string]string) ([]string, bool) {
		return []string{"primary"}, namespace == name
	}
}

func acmeClient(change func(*verify.Client)) verify.Client {
	c := verify.Client{Name: "acme", Ceiling: grant.NewCeiling([]grant.Role{{Name: "primary", Permissions: []string{"search.*"}}}), Draw: grantTo("shop")}
	if change != nil {
		change(&c)
	}
	return c
}

func newFixture(t testing.TB) *fixture {
	w := &fixture{tok: verifytest.Mint(t, token.Application, t.Name())}
	w.rec = record.Record{
		Kind: token.Application, Digest: w.tok.Digest(), Client: "acme", Roles: []string{"primary"}, IssuedAt: noon,
		Owner: record.Owner{Kind: "ApplicationToken", Namespace: "shop", Name: "indexer", UID: "1"},
	}
	w.SetClient(acmeClient(nil))
	w.Enable(w.rec.Owner)
	w.Set(w.rec)
	return w
}

func (w *fixture) verifyNow(f verify.Facts) (verify.Identity, verify.Verdict) {
	return w.Verify(noon, w.tok.Reveal(), f)
}

// A withdrawal counts from the next verification on [3.6] [3.7], in any order of events.
func TestVerify_WithdrawalCountsAtOnce(t *testing.T) {
	for name, x := range map[string]struct {
		away, back func(*fixture)
		want       verify.Verdict
	}{
		"the record": {
			func(w *fixture) { w.Remove(w.rec.Digest) },
			func(w *fixture) { w.Set(w.rec) },
			verify.Unknown,
		},
		"the record's state": {
			func(w *fixture) { r := w.rec; r.Suspended = true; w.Set(r) },
			func(w *fixture) { w.Set(w.rec) },
			verify.Suspended,
		},
		"the record's time": {
			func(w *fixture) { r := w.rec; r.ExpiresAt = noon; w.Set(r) },
			func(w *fixture) { w.Set(w.rec) },
			verify.Expired,
		},
		"the record's client": {
			func(w *fixture) { r := w.rec; r.Client = "beta"; w.Set(r) },
			func(w *fixture) { w.Set(w.rec) },
			verify.ClientMissing,
		},
		"the client": {
			func(w *fixture) { w.RemoveClient("acme") },
			func(w *fixture) { w.SetClient(acmeClient(nil)) },
			verify.ClientMissing,
		},
		"the client's state": {
			func(w *fixture) { w.SetClient(acmeClient(func(c *verify.Client) { c.Suspended = true })) },
			func(w *fixture) { w.SetClient(acmeClient(nil)) },
			verify.ClientSuspended,
		},
		"the client's role": {
			func(w *fixture) { w.SetClient(acmeClient(func(c *verify.Client) { c.Ceiling = grant.Ceiling{} })) },
			func(w *fixture) { w.SetClient(acmeClient(nil)) },
			verify.RoleMissing,
		},
		"the client's addresses": {
			func(w *fixture) {
				w.SetClient(acmeClient(func(c *verify.Client) { c.Ranges = verify.ParseRanges([]string{"10.0.0.0/8"}) }))
			},
			func(w *fixture) { w.SetClient(acmeClient(nil)) },
			verify.SourceRefused,
		},
		"the owner": {
			func(w *fixture) { w.Disable(w.rec.Owner) },
			func(w *fixture) { w.Enable(w.rec.Owner) },
			verify.OwnerDisabled,
		},
		"the owner, before its record is reported": {
			func(w *fixture) { w.Remove(w.rec.Digest); w.Disable(w.rec.Owner); w.Set(w.rec) },
			func(w *fixture) { w.Enable(w.rec.Owner) },
			verify.OwnerDisabled,
		},
		"the owner, for one of the same name": {
			func(w *fixture) { o := w.rec.Owner; o.UID = "2"; w.Enable(o) },
			func(w *fixture) { w.Enable(w.rec.Owner) },
			verify.OwnerDisabled,
		},
		"the owner, stopped twice": {
			func(w *fixture) { w.Disable(w.rec.Owner); w.Disable(w.rec.Owner); w.Set(w.rec) },
			func(w *fixture) { w.Enable(w.rec.Owner) },
			verify.OwnerDisabled,
		},
		"the record, and the watch is behind": {
			func(w *fixture) { w.End(w.rec.Digest); w.Set(w.rec) },
			func(w *fixture) { w.Remove(w.rec.Digest); w.Set(w.rec) },
			verify.Unknown,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			facts := verify.Facts{Roles: []string{"primary"}, Permissions: []string{"search.query"}}
			for range 2 {
				if _, verdict := w.verifyNow(facts); verdict != verify.Valid {
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

// An owner that is gone leaves nothing behind. Otherwise the index would grow with every token that
// ever existed.
func TestIndex_ForgetsDeletedObjects(t *testing.T) {
	w := newFixture(t)
	w.Disable(w.rec.Owner)
	w.End(w.rec.Digest)
	w.Remove(w.rec.Digest)
	w.RemoveClient("acme")
	if n := w.EntryCount(); n != 0 {
		t.Errorf("%d things are remembered", n)
	}
	w.Set(w.rec)
	w.Disable(w.rec.Owner)
	w.Remove(w.rec.Digest)
	w.Remove(w.rec.Digest)
	w.End(w.rec.Digest)
	w.RemoveClient("absent")
	if n := w.EntryCount(); n != 0 {
		t.Errorf("%d things are remembered", n)
	}
}

// A million records of a few clients must not hold a million copies of what they may do.
func TestIndex_EqualGrantsAreShared(t *testing.T) {
	w := newFixture(t)
	other := verifytest.Mint(t, token.Application, "other")
	r := w.rec
	r.Digest, r.Owner.Name = other.Digest(), "other"
	w.Enable(r.Owner)
	w.Set(r)
	a, _ := w.verifyNow(verify.Facts{})
	b, _ := w.Verify(noon, other.Reveal(), verify.Facts{})
	if a.Held != b.Held {
		t.Error("two records of the same grants do not share what they hold")
	}
}

func TestVerify_AllocatesNothing(t *testing.T) {
	w := newFixture(t)
	text, facts := w.tok.Reveal(), verify.Facts{Permissions: []string{"search.query"}, Roles: []string{"primary"}}
	unknownToken := verifytest.Mint(t, token.Application, "outsider").Reveal()
	if n := testing.AllocsPerRun(1000, func() {
		w.Verify(noon, text, facts)
		w.Verify(noon, unknownToken, facts)
		w.Verify(noon, "no token", facts)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestVerdict_EveryOneHasAName(t *testing.T) {
	seen := map[string]bool{}
	for _, v := range verify.Verdicts() {
		if name := v.String(); name == "" || seen[name] {
			t.Errorf("verdict %d is called %q", v, name)
		}
		seen[v.String()] = true
		if v.IsForbidden() && v == verify.Valid {
			t.Error("what is good is forbidden")
		}
	}
	if verify.Verdict(255).String() != "Malformed" {
		t.Error("a number that is no verdict is not taken for a refusal")
	}
}
