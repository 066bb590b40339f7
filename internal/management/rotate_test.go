package management_test

import (
	"errors"
	"testing"
	"time"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/management"
	"github.com/apptoken/operator/internal/testing/operatortest"
	"github.com/apptoken/operator/internal/token"
)

// Invariant 5.
func TestRotate_KeepsPredecessorForOverlap(t *testing.T) {
	w := newFixture(t)
	k, o := w.NewManagementReplica(api), w.NewOperator(api, api)
	const lifetime = 3 * time.Hour
	first, err := k.Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken(func(d *management.TokenSpec) { d.Lifetime = lifetime }))
	w.Must(err)
	w.Must(o.SettleOwnNamespace())
	w.Now = w.Now.Add(time.Minute)
	second, err := k.Rotate(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", "")
	w.Must(err)
	w.Must(w.CheckLastDelivered(second.Secret, 1))
	if !w.IsAccepted(first.Secret) || second.Token.Rotations != 1 || second.Token.Predecessors != 1 || second.Token.ID != second.Secret.Digest().RecordName() {
		t.Errorf("rotated: %+v", second.Token)
	}
	store := w.Store()
	before, err := store.Find(w.Ctx, first.Secret.Digest())
	w.Must(err)
	after, err := store.Find(w.Ctx, second.Secret.Digest())
	w.Must(err)
	if before.ExpiresAt.After(before.IssuedAt.Add(lifetime)) || !before.SupersededAt.Equal(w.Now) || !after.ExpiresAt.Equal(w.Now.Add(lifetime)) {
		t.Errorf("[5] the predecessor ends at %s, the successor at %s", before.ExpiresAt, after.ExpiresAt)
	}
	w.Must(o.SettleOwnNamespace())
	got, err := k.Get(w.Ctx, w.Scope(), "CI_deploy")
	w.Must(err)
	if got.Predecessors != 1 || got.Rotations != 1 || got.ID != second.Token.ID || !got.Ready {
		t.Errorf("got %+v", got)
	}
	w.Now = w.Now.Add(time.Hour)
	w.Must(o.SettleOwnNamespace())
	w.Must(w.CheckLastDelivered(second.Secret, 1))
	w.Must(store.Use(w.Ctx, second.Token.ID, w.Now, "10.1.2.3"))
	w.Must(o.SettleOwnNamespace())
	w.Must(w.CheckLastDelivered(second.Secret, 0))
}

func TestRotate_SuspendedOrExpiredTokenIsRefused(t *testing.T) {
	w := newFixture(t)
	k := w.NewManagementReplica(api)
	made, err := k.Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken())
	w.Must(err)
	for name, c := range map[string]struct{ before, after func() }{
		"suspended": {
			func() {
				_, err := k.Change(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", management.Change{State: new("Suspended")})
				w.Must(err)
			},
			func() {
				_, err := k.Change(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", management.Change{State: new("Active")})
				w.Must(err)
			},
		},
		"expired": {func() { w.Now = w.Now.Add(time.Hour) }, func() { w.Now = w.Now.Add(-time.Hour) }},
	} {
		c.before()
		_, byName := k.Rotate(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", "")
		_, own := k.RotateOwn(w.Ctx, operatortest.RootCaller, made.Secret.Digest(), "")
		_, keyed := k.Rotate(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", "key")
		for how, err := range map[string]error{"by name": byName, "own": own, "with a key": keyed} {
			if _, ok := errors.AsType[*management.Refused](err); !ok {
				t.Errorf("%s, %s: %v", name, how, err)
			}
		}
		c.after()
	}
	w.Must(w.CheckLastDelivered(made.Secret, 0))
	if _, err := k.RotateOwn(w.Ctx, operatortest.RootCaller, token.Digest{1}, ""); !errors.Is(err, management.ErrNotFound) {
		t.Errorf("an unknown token: %v", err)
	}
}

// Threats row 18.
func TestRotate_RetryReplacesUnusedSuccessor(t *testing.T) {
	for name, rotate := range map[string]func(*fixture, *operatortest.ManagementReplica, token.Token) (management.Issued, error){
		"by its holder": func(w *fixture, k *operatortest.ManagementReplica, held token.Token) (management.Issued, error) {
			return k.RotateOwn(w.Ctx, operatortest.RootCaller, held.Digest(), "")
		},
		"under a key": func(w *fixture, k *operatortest.ManagementReplica, _ token.Token) (management.Issued, error) {
			return k.Rotate(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", "a key")
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			k, other := w.NewManagementReplica(api), w.NewManagementReplica(api)
			first, err := k.Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken())
			w.Must(err)
			lost, err := rotate(w, k, first.Secret)
			w.Must(err)
			end, err := w.Store().Find(w.Ctx, first.Secret.Digest())
			w.Must(err)
			w.Now = w.Now.Add(time.Minute)
			again, err := rotate(w, other, first.Secret)
			w.Must(err)
			w.Must(w.CheckLastDelivered(again.Secret, 1))
			if w.IsAccepted(lost.Secret) || !other.EndedTokens[lost.Secret.Digest()] || again.Token.Rotations != 1 {
				t.Errorf("the lost one is still good: %+v", again.Token)
			}
			if now, err := w.Store().Find(w.Ctx, first.Secret.Digest()); err != nil || !now.ExpiresAt.Equal(end.ExpiresAt) {
				t.Errorf("[5] the predecessor ends at %s, not at %s: %v", now.ExpiresAt, end.ExpiresAt, err)
			}
			k.MarkUsed(again.Secret)
			if _, err := rotate(w, k, first.Secret); !errors.Is(err, management.ErrRetryExpired) {
				t.Errorf("on the replica that has seen it in use: %v", err)
			}
			w.Must(other.Records.Use(w.Ctx, again.Token.ID, w.Now, ""))
			if _, err := rotate(w, other, first.Secret); !errors.Is(err, management.ErrRetryExpired) {
				t.Errorf("when it is written that it is in use: %v", err)
			}
			w.Must(w.CheckLastDelivered(again.Secret, 1))
			w.Now = w.Now.Add(10 * time.Minute)
			if third, err := k.Rotate(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", "another key"); err != nil || !w.IsAccepted(third.Secret) {
				t.Errorf("another rotation: %v", err)
			}
			if _, err := k.RotateOwn(w.Ctx, operatortest.RootCaller, first.Secret.Digest(), ""); !errors.Is(err, management.ErrRetryExpired) && !errors.Is(err, management.ErrSuperseded) {
				t.Errorf("two rotations later: %v", err)
			}
		})
	}
}

func TestClone_HasGrantsOfSource(t *testing.T) {
	w := newFixture(t)
	w.Must(w.DeclareToken())
	w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) { at.Spec.Lifetime = "3h" }))
	w.Must(w.NewOperator(api, api).Settle())
	k := w.NewManagementReplica(api)
	source := w.Namespace + ":indexer"
	made, err := k.Clone(w.Ctx, operatortest.RootCaller, w.Scope(), source, "copy", "")
	w.Must(err)
	r, err := w.Store().Find(w.Ctx, made.Secret.Digest())
	w.Must(err)
	if made.Token.Declared || made.Token.Lifetime != 3*time.Hour || len(r.Roles) != 1 || r.Roles[0] != "primary" || !r.ExpiresAt.Equal(w.Now.Add(3*time.Hour)) {
		t.Errorf("the clone %+v has %v", made.Token, r.Roles)
	}
	if _, err := k.Clone(w.Ctx, operatortest.RootCaller, w.Scope(), source, "copy", ""); !errors.Is(err, management.ErrExists) {
		t.Errorf("a second one of that name: %v", err)
	}
	if _, err := k.Clone(w.Ctx, operatortest.RootCaller, w.Scope(), source, "copy", "key"); !errors.Is(err, management.ErrExists) {
		t.Errorf("under a key that the first had not: %v", err)
	}
	lost, err := k.Clone(w.Ctx, operatortest.RootCaller, w.Scope(), source, "second", "key")
	w.Must(err)
	again, err := k.Clone(w.Ctx, operatortest.RootCaller, w.Scope(), source, "second", "key")
	w.Must(err)
	if w.IsAccepted(lost.Secret) || !w.IsAccepted(again.Secret) || again.Token.Rotations != 0 {
		t.Errorf("a retry gave %+v", again.Token)
	}
	k.MarkUsed(again.Secret)
	if _, err := k.Clone(w.Ctx, operatortest.RootCaller, w.Scope(), source, "second", "key"); !errors.Is(err, management.ErrRetryExpired) {
		t.Errorf("a retry that comes late: %v", err)
	}
	if _, err := k.Clone(w.Ctx, operatortest.RootCaller, w.Scope(), "copy", "second", "key"); !errors.Is(err, management.ErrExists) {
		t.Errorf("of another source: %v", err)
	}
	_, err = k.Change(w.Ctx, operatortest.RootCaller, w.Scope(), "copy", management.Change{State: new("Suspended")})
	w.Must(err)
	if _, err := k.Clone(w.Ctx, operatortest.RootCaller, w.Scope(), "copy", "third", ""); err == nil {
		t.Error("what is suspended was cloned")
	}
}

// Invariant 6: a clone in the operator's own namespace does not get what the namespace was not
// granted either.
func TestClone_OverCeilingIsRefused(t *testing.T) {
	w := newFixture(t)
	w.Must(w.DeclareToken())
	w.Must(w.NewOperator(api, api).Settle())
	w.MustEditClient(func(c *v1alpha1.Client) { c.Spec.Grants[0].Roles = []v1alpha1.RoleName{"second"} })
	_, err := w.NewManagementReplica(api).Clone(w.Ctx, operatortest.RootCaller, w.Scope(), w.Namespace+":indexer", "copy", "")
	if no, ok := errors.AsType[*management.Refused](err); !ok || no.Field != "" && no.Field != "permissions" && no.Field != "roles" {
		t.Errorf("cloned: %v", err)
	}
}

func TestRotate_SecretRotatesOncePerRequest(t *testing.T) {
	w := newFixture(t)
	w.Must(w.DeclareToken())
	k, o := w.NewManagementReplica(api), w.NewOperator(api, api)
	w.Must(o.Settle())
	name := w.Namespace + ":indexer"
	expect := func(step string, version int64) {
		t.Helper()
		w.Must(o.Settle())
		w.Must(w.CheckInvariants())
		if r := w.NewestRecord(); r.Version != version {
			t.Errorf("%s: version %d, not %d", step, r.Version, version)
		}
	}
	rotate := func(key string) {
		t.Helper()
		w.Now = w.Now.Add(25 * time.Hour)
		issued, err := k.Rotate(w.Ctx, operatortest.RootCaller, w.Scope(), name, key)
		w.Must(err)
		if issued.Secret.Reveal() != "" {
			t.Error("[1] the answer holds a token that is in a Secret")
		}
	}
	rotate("a")
	expect("a key", 2)
	rotate("a")
	expect("the same key", 2)
	rotate("")
	expect("no key", 3)
	rotate("")
	expect("no key again", 4)
	w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) { delete(at.Annotations, v1alpha1.AnnotationRotate) }))
	expect("the request is withdrawn", 4)
	w.Now = w.Now.Add(10 * time.Minute)
	w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) { at.Spec.Rotation.Trigger = "2" }))
	expect("the trigger changes", 5)

	w.Now = w.Now.Add(25 * time.Hour)
	held := w.TokenInSecret()
	for range 2 {
		_, err := k.RotateOwn(w.Ctx, operatortest.RootCaller, held.Digest(), "")
		w.Must(err)
		expect("its holder asks, and asks again", 6)
	}
	w.Now = w.Now.Add(25 * time.Hour)
	if _, err := k.RotateOwn(w.Ctx, operatortest.RootCaller, w.TokenInSecret().Digest(), ""); err != nil {
		t.Errorf("the holder of the next one: %v", err)
	}
	expect("the next one", 7)
	if _, err := k.RotateOwn(w.Ctx, operatortest.RootCaller, held.Digest(), ""); !errors.Is(err, management.ErrSuperseded) && !errors.Is(err, management.ErrNotFound) {
		t.Errorf("the holder of one before: %v", err)
	}
}
