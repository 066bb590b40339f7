package applicationtoken_test

import (
	"errors"
	"testing"
	"time"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/management"
	"github.com/apptoken/operator/internal/token"
)

// Invariant 5.
func TestRotate_KeepsPredecessorForOverlap(t *testing.T) {
	w := newFixture(t)
	k, o := w.newManagementReplica(api), w.newOperator(api, api)
	const lifetime = 3 * time.Hour
	first, err := k.Create(w.ctx, rootCaller, w.scope(), ciToken(func(d *management.TokenSpec) { d.Lifetime = lifetime }))
	w.must(err)
	w.must(o.settleOwnNamespace())
	w.now = w.now.Add(time.Minute)
	second, err := k.Rotate(w.ctx, rootCaller, w.scope(), "CI_deploy", "")
	w.must(err)
	w.must(w.checkLastDelivered(second.Secret, 1))
	if !w.isAccepted(first.Secret) || second.Token.Rotations != 1 || second.Token.Predecessors != 1 || second.Token.ID != second.Secret.Digest().RecordName() {
		t.Errorf("rotated: %+v", second.Token)
	}
	store := w.store()
	before, err := store.Find(w.ctx, first.Secret.Digest())
	w.must(err)
	after, err := store.Find(w.ctx, second.Secret.Digest())
	w.must(err)
	if before.ExpiresAt.After(before.IssuedAt.Add(lifetime)) || !before.SupersededAt.Equal(w.now) || !after.ExpiresAt.Equal(w.now.Add(lifetime)) {
		t.Errorf("[5] the predecessor ends at %s, the successor at %s", before.ExpiresAt, after.ExpiresAt)
	}
	w.must(o.settleOwnNamespace())
	got, err := k.Get(w.ctx, w.scope(), "CI_deploy")
	w.must(err)
	if got.Predecessors != 1 || got.Rotations != 1 || got.ID != second.Token.ID || !got.Ready {
		t.Errorf("got %+v", got)
	}
	w.now = w.now.Add(time.Hour)
	w.must(o.settleOwnNamespace())
	w.must(w.checkLastDelivered(second.Secret, 1))
	w.must(store.Use(w.ctx, second.Token.ID, w.now, "10.1.2.3"))
	w.must(o.settleOwnNamespace())
	w.must(w.checkLastDelivered(second.Secret, 0))
}

func TestRotate_SuspendedOrExpiredTokenIsRefused(t *testing.T) {
	w := newFixture(t)
	k := w.newManagementReplica(api)
	made, err := k.Create(w.ctx, rootCaller, w.scope(), ciToken())
	w.must(err)
	for name, c := range map[string]struct{ before, after func() }{
		"suspended": {
			func() {
				_, err := k.Change(w.ctx, rootCaller, w.scope(), "CI_deploy", management.Change{State: new("Suspended")})
				w.must(err)
			},
			func() {
				_, err := k.Change(w.ctx, rootCaller, w.scope(), "CI_deploy", management.Change{State: new("Active")})
				w.must(err)
			},
		},
		"expired": {func() { w.now = w.now.Add(time.Hour) }, func() { w.now = w.now.Add(-time.Hour) }},
	} {
		c.before()
		_, byName := k.Rotate(w.ctx, rootCaller, w.scope(), "CI_deploy", "")
		_, own := k.RotateOwn(w.ctx, rootCaller, made.Secret.Digest(), "")
		_, keyed := k.Rotate(w.ctx, rootCaller, w.scope(), "CI_deploy", "key")
		for how, err := range map[string]error{"by name": byName, "own": own, "with a key": keyed} {
			if _, ok := errors.AsType[*management.Refused](err); !ok {
				t.Errorf("%s, %s: %v", name, how, err)
			}
		}
		c.after()
	}
	w.must(w.checkLastDelivered(made.Secret, 0))
	if _, err := k.RotateOwn(w.ctx, rootCaller, token.Digest{1}, ""); !errors.Is(err, management.ErrNotFound) {
		t.Errorf("an unknown token: %v", err)
	}
}

// Threats row 18.
func TestRotate_RetryReplacesUnusedSuccessor(t *testing.T) {
	for name, rotate := range map[string]func(*fixture, *managementReplica, token.Token) (management.Issued, error){
		"by its holder": func(w *fixture, k *managementReplica, held token.Token) (management.Issued, error) {
			return k.RotateOwn(w.ctx, rootCaller, held.Digest(), "")
		},
		"under a key": func(w *fixture, k *managementReplica, _ token.Token) (management.Issued, error) {
			return k.Rotate(w.ctx, rootCaller, w.scope(), "CI_deploy", "a key")
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			k, other := w.newManagementReplica(api), w.newManagementReplica(api)
			first, err := k.Create(w.ctx, rootCaller, w.scope(), ciToken())
			w.must(err)
			lost, err := rotate(w, k, first.Secret)
			w.must(err)
			end, err := w.store().Find(w.ctx, first.Secret.Digest())
			w.must(err)
			w.now = w.now.Add(time.Minute)
			again, err := rotate(w, other, first.Secret)
			w.must(err)
			w.must(w.checkLastDelivered(again.Secret, 1))
			if w.isAccepted(lost.Secret) || !other.endedTokens[lost.Secret.Digest()] || again.Token.Rotations != 1 {
				t.Errorf("the lost one is still good: %+v", again.Token)
			}
			if now, err := w.store().Find(w.ctx, first.Secret.Digest()); err != nil || !now.ExpiresAt.Equal(end.ExpiresAt) {
				t.Errorf("[5] the predecessor ends at %s, not at %s: %v", now.ExpiresAt, end.ExpiresAt, err)
			}
			k.markUsed(again.Secret)
			if _, err := rotate(w, k, first.Secret); !errors.Is(err, management.ErrRetryExpired) {
				t.Errorf("on the replica that has seen it in use: %v", err)
			}
			w.must(other.Records.Use(w.ctx, again.Token.ID, w.now, ""))
			if _, err := rotate(w, other, first.Secret); !errors.Is(err, management.ErrRetryExpired) {
				t.Errorf("when it is written that it is in use: %v", err)
			}
			w.must(w.checkLastDelivered(again.Secret, 1))
			w.now = w.now.Add(10 * time.Minute)
			if third, err := k.Rotate(w.ctx, rootCaller, w.scope(), "CI_deploy", "another key"); err != nil || !w.isAccepted(third.Secret) {
				t.Errorf("another rotation: %v", err)
			}
			if _, err := k.RotateOwn(w.ctx, rootCaller, first.Secret.Digest(), ""); !errors.Is(err, management.ErrRetryExpired) && !errors.Is(err, management.ErrSuperseded) {
				t.Errorf("two rotations later: %v", err)
			}
		})
	}
}

func TestClone_HasGrantsOfSource(t *testing.T) {
	w := newFixture(t)
	w.must(w.declareToken())
	w.must(w.editToken(func(at *v1alpha1.ApplicationToken) { at.Spec.Lifetime = "3h" }))
	w.must(w.newOperator(api, api).settle())
	k := w.newManagementReplica(api)
	source := w.namespace + ":indexer"
	made, err := k.Clone(w.ctx, rootCaller, w.scope(), source, "copy", "")
	w.must(err)
	r, err := w.store().Find(w.ctx, made.Secret.Digest())
	w.must(err)
	if made.Token.Declared || made.Token.Lifetime != 3*time.Hour || len(r.Roles) != 1 || r.Roles[0] != "primary" || !r.ExpiresAt.Equal(w.now.Add(3*time.Hour)) {
		t.Errorf("the clone %+v has %v", made.Token, r.Roles)
	}
	if _, err := k.Clone(w.ctx, rootCaller, w.scope(), source, "copy", ""); !errors.Is(err, management.ErrExists) {
		t.Errorf("a second one of that name: %v", err)
	}
	if _, err := k.Clone(w.ctx, rootCaller, w.scope(), source, "copy", "key"); !errors.Is(err, management.ErrExists) {
		t.Errorf("under a key that the first had not: %v", err)
	}
	lost, err := k.Clone(w.ctx, rootCaller, w.scope(), source, "second", "key")
	w.must(err)
	again, err := k.Clone(w.ctx, rootCaller, w.scope(), source, "second", "key")
	w.must(err)
	if w.isAccepted(lost.Secret) || !w.isAccepted(again.Secret) || again.Token.Rotations != 0 {
		t.Errorf("a retry gave %+v", again.Token)
	}
	k.markUsed(again.Secret)
	if _, err := k.Clone(w.ctx, rootCaller, w.scope(), source, "second", "key"); !errors.Is(err, management.ErrRetryExpired) {
		t.Errorf("a retry that comes late: %v", err)
	}
	if _, err := k.Clone(w.ctx, rootCaller, w.scope(), "copy", "second", "key"); !errors.Is(err, management.ErrExists) {
		t.Errorf("of another source: %v", err)
	}
	_, err = k.Change(w.ctx, rootCaller, w.scope(), "copy", management.Change{State: new("Suspended")})
	w.must(err)
	if _, err := k.Clone(w.ctx, rootCaller, w.scope(), "copy", "third", ""); err == nil {
		t.Error("what is suspended was cloned")
	}
}

// Invariant 6: a clone in the operator's own namespace does not get what the namespace was not
// granted either.
func TestClone_OverCeilingIsRefused(t *testing.T) {
	w := newFixture(t)
	w.must(w.declareToken())
	w.must(w.newOperator(api, api).settle())
	w.mustEditClient(func(c *v1alpha1.Client) { c.Spec.Grants[0].Roles = []v1alpha1.RoleName{"second"} })
	_, err := w.newManagementReplica(api).Clone(w.ctx, rootCaller, w.scope(), w.namespace+":indexer", "copy", "")
	if no, ok := errors.AsType[*management.Refused](err); !ok || no.Field != "" && no.Field != "permissions" && no.Field != "roles" {
		t.Errorf("cloned: %v", err)
	}
}

func TestRotate_SecretRotatesOncePerRequest(t *testing.T) {
	w := newFixture(t)
	w.must(w.declareToken())
	k, o := w.newManagementReplica(api), w.newOperator(api, api)
	w.must(o.settle())
	name := w.namespace + ":indexer"
	expect := func(step string, version int64) {
		t.Helper()
		w.must(o.settle())
		w.must(w.checkInvariants())
		if r := w.newestRecord(); r.Version != version {
			t.Errorf("%s: version %d, not %d", step, r.Version, version)
		}
	}
	rotate := func(key string) {
		t.Helper()
		w.now = w.now.Add(25 * time.Hour)
		issued, err := k.Rotate(w.ctx, rootCaller, w.scope(), name, key)
		w.must(err)
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
	w.must(w.editToken(func(at *v1alpha1.ApplicationToken) { delete(at.Annotations, v1alpha1.AnnotationRotate) }))
	expect("the request is withdrawn", 4)
	w.now = w.now.Add(10 * time.Minute)
	w.must(w.editToken(func(at *v1alpha1.ApplicationToken) { at.Spec.Rotation.Trigger = "2" }))
	expect("the trigger changes", 5)

	w.now = w.now.Add(25 * time.Hour)
	held := w.tokenInSecret()
	for range 2 {
		_, err := k.RotateOwn(w.ctx, rootCaller, held.Digest(), "")
		w.must(err)
		expect("its holder asks, and asks again", 6)
	}
	w.now = w.now.Add(25 * time.Hour)
	if _, err := k.RotateOwn(w.ctx, rootCaller, w.tokenInSecret().Digest(), ""); err != nil {
		t.Errorf("the holder of the next one: %v", err)
	}
	expect("the next one", 7)
	if _, err := k.RotateOwn(w.ctx, rootCaller, held.Digest(), ""); !errors.Is(err, management.ErrSuperseded) && !errors.Is(err, management.ErrNotFound) {
		t.Errorf("the holder of one before: %v", err)
	}
}
