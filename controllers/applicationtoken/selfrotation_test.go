package applicationtoken_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/management"
	"github.com/apptoken/operator/internal/plan"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

// recordOf reads the record of a token.
func (w *fixture) recordOf(tok token.Token) record.Record {
	w.t.Helper()
	r, err := w.store().Find(w.ctx, tok.Digest())
	w.must(err)
	return r
}

// retryAfter returns how long a caller has to wait, and reports whether it has to.
func retryAfter(err error) (time.Duration, bool) {
	soon, ok := errors.AsType[*management.TooSoon](err)
	if !ok {
		return 0, false
	}
	return soon.After, true
}

// Threats row 28.
func TestRotate_HolderNeverReplacesAdministratorsSuccessor(t *testing.T) {
	for name, key := range map[string]string{"without a key": "", "with the key of the administrator": "a key", "with a key": "another"} {
		for how, by := range map[string]string{"no key": "", "a key": "a key"} {
			w := newFixture(t)
			k := w.newManagementReplica(api)
			stolen, err := k.Create(w.ctx, rootCaller, w.scope(), ciToken())
			w.must(err)
			next, err := k.Rotate(w.ctx, rootCaller, w.scope(), "CI_deploy", by)
			w.must(err)
			for range 2 {
				if _, err := k.RotateOwn(w.ctx, rootCaller, stolen.Secret.Digest(), key); !errors.Is(err, management.ErrSuperseded) {
					t.Errorf("%s, where the administrator sent %s: %v", name, how, err)
				}
			}
			w.must(w.checkLastDelivered(next.Secret, 1))
		}
	}
}

// The successor may come from a change in Git, and is then not delivered in a response.
func TestRotate_HolderOfPredecessorRotatesNoSecret(t *testing.T) {
	w := newFixture(t)
	w.must(w.declareToken())
	k, o := w.newManagementReplica(api), w.newOperator(api, api)
	w.must(o.settle())
	stolen := w.tokenInSecret()
	w.must(w.editToken(func(at *v1alpha1.ApplicationToken) { at.Spec.Rotation.Trigger = "2" }))
	w.must(o.settle())
	next := w.tokenInSecret()
	if _, err := k.RotateOwn(w.ctx, rootCaller, stolen.Digest(), ""); !errors.Is(err, management.ErrSuperseded) {
		t.Errorf("after the trigger: %v", err)
	}
	// The request was decided before the trigger, and is written after it.
	w.must(w.editToken(func(at *v1alpha1.ApplicationToken) {
		at.Annotations = map[string]string{v1alpha1.AnnotationRotateSelf: stolen.Digest().RecordName()}
	}))
	w.must(o.settle())
	w.must(w.checkInvariants())
	if w.tokenInSecret().Digest() != next.Digest() {
		t.Error("the holder of a predecessor has rotated the Secret")
	}
}

func TestRotate_HolderOverwritesNoRequestOfAdministrator(t *testing.T) {
	w := newFixture(t)
	w.must(w.declareToken())
	w.must(w.editToken(func(at *v1alpha1.ApplicationToken) { at.Spec.Lifetime = "100h" }))
	k, o := w.newManagementReplica(api), w.newOperator(api, api)
	w.must(o.settle())
	name := w.namespace + ":indexer"
	w.now = w.now.Add(time.Hour)
	_, err := k.Rotate(w.ctx, rootCaller, w.scope(), name, "a key")
	w.must(err)
	_, err = k.RotateOwn(w.ctx, rootCaller, w.tokenInSecret().Digest(), "") // before the reconciler has observed either
	w.must(err)
	w.must(o.settle())
	w.must(w.checkInvariants())
	if r := w.newestRecord(); r.Version != 2 || !r.AuthorizedAt.IsZero() || !r.ExpiresAt.Equal(w.now.Add(100*time.Hour)) {
		t.Errorf("version %d was authorized at %s and ends at %s", r.Version, r.AuthorizedAt, r.ExpiresAt)
	}
}

func TestRotate_RetryIsOfTheSameCallerAndBounded(t *testing.T) {
	w := newFixture(t)
	k := w.newManagementReplica(api)
	_, err := k.Create(w.ctx, rootCaller, w.scope(), ciToken())
	w.must(err)
	first, err := k.Rotate(w.ctx, rootCaller, w.scope(), "CI_deploy", "a key")
	w.must(err)
	began := w.now
	w.now = began.Add(plan.RetryWindow - time.Second)
	second, err := k.Rotate(w.ctx, rootCaller, w.scope(), "CI_deploy", "a key")
	w.must(err)
	if w.isAccepted(first.Secret) || !w.isAccepted(second.Secret) || second.Token.Rotations != 1 {
		t.Errorf("a retry gave %+v", second.Token)
	}
	if r := w.recordOf(second.Secret); !r.IssuedAt.Equal(began) || !r.ExpiresAt.Equal(began.Add(time.Hour)) {
		t.Errorf("[5] made again, it counts from %s and ends at %s", r.IssuedAt, r.ExpiresAt)
	}
	w.now = began.Add(plan.RetryWindow)
	if _, err := k.Rotate(w.ctx, rootCaller, w.scope(), "CI_deploy", "a key"); !errors.Is(err, management.ErrRetryExpired) {
		t.Errorf("a late retry: %v", err)
	}
	w.now = began.Add(10 * time.Minute)
	other := rootCaller
	other.ID = "user mallory"
	third, err := k.Rotate(w.ctx, other, w.scope(), "CI_deploy", "a key")
	w.must(err)
	if !w.isAccepted(second.Secret) || third.Token.Rotations != 2 {
		t.Errorf("another caller's request with the same key gave %+v", third.Token)
	}
	if _, err := k.Rotate(w.ctx, rootCaller, w.scope(), "CI_deploy", "a key"); !errors.Is(err, management.ErrRetryExpired) {
		t.Errorf("a retry after another rotation: %v", err)
	}
	w.must(w.checkLastDelivered(third.Secret, 2))
}

func TestClone_RetryIsBounded(t *testing.T) {
	w := newFixture(t)
	k := w.newManagementReplica(api)
	_, err := k.Create(w.ctx, rootCaller, w.scope(), ciToken())
	w.must(err)
	first, err := k.Clone(w.ctx, rootCaller, w.scope(), "CI_deploy", "copy", "key")
	w.must(err)
	other := rootCaller
	other.ID = "user mallory"
	if _, err := k.Clone(w.ctx, other, w.scope(), "CI_deploy", "copy", "key"); !errors.Is(err, management.ErrExists) {
		t.Errorf("another caller with the same key: %v", err)
	}
	w.now = w.now.Add(plan.RetryWindow)
	if _, err := k.Clone(w.ctx, rootCaller, w.scope(), "CI_deploy", "copy", "key"); !errors.Is(err, management.ErrRetryExpired) {
		t.Errorf("a late retry: %v", err)
	}
	if !w.isAccepted(first.Secret) {
		t.Error("the clone is no longer valid")
	}
}

func TestRotate_EndsNoPredecessor(t *testing.T) {
	w := newFixture(t)
	k := w.newManagementReplica(api)
	made, err := k.Create(w.ctx, rootCaller, w.scope(), ciToken(func(d *management.TokenSpec) { d.Lifetime = 0 }))
	w.must(err)
	began := w.now
	tokens := []token.Token{made.Secret}
	for range plan.MaxPredecessors {
		w.now = w.now.Add(10 * time.Minute)
		next, err := k.Rotate(w.ctx, rootCaller, w.scope(), "CI_deploy", "")
		w.must(err)
		tokens = append(tokens, next.Secret)
	}
	for _, key := range []string{"", "key"} {
		_, err := k.Rotate(w.ctx, rootCaller, w.scope(), "CI_deploy", key)
		if after, ok := retryAfter(err); !ok || after != 24*time.Hour-20*time.Minute {
			t.Errorf("a fourth one: %v, after %s", err, after)
		}
		if _, err := k.RotateOwn(w.ctx, rootCaller, tokens[3].Digest(), key); err == nil {
			t.Error("a holder makes a fourth one")
		}
	}
	w.must(w.checkLastDelivered(tokens[3], 3))
	w.now = began.Add(10*time.Minute + 24*time.Hour)
	next, err := k.Rotate(w.ctx, rootCaller, w.scope(), "CI_deploy", "")
	w.must(err)
	w.must(w.checkLastDelivered(next.Secret, 3))
	for i, tok := range tokens {
		if w.isAccepted(tok) != (i > 0) {
			t.Errorf("version %d is valid: %t", i+1, w.isAccepted(tok))
		}
	}
}

func TestRotate_TriggersWaitForPredecessorLimit(t *testing.T) {
	w := newFixture(t)
	w.must(w.declareToken())
	k, o := w.newManagementReplica(api), w.newOperator(api, api)
	w.must(o.settle())
	first := w.tokenInSecret()
	for _, trigger := range []string{"2", "3", "4", "5", "6"} {
		w.now = w.now.Add(10 * time.Minute)
		w.must(w.editToken(func(at *v1alpha1.ApplicationToken) { at.Spec.Rotation.Trigger = trigger }))
		w.must(o.settle())
		w.must(w.checkInvariants())
	}
	if r := w.newestRecord(); r.Version != 4 || !w.isAccepted(first) {
		t.Errorf("version %d; the first is valid: %t", r.Version, w.isAccepted(first))
	}
	if reason, _ := readiness(w.token()); reason != v1alpha1.ReasonIssued {
		t.Errorf("meanwhile it is %s", reason)
	}
	at := w.token()
	pending := false
	for _, c := range at.Status.Conditions {
		if c.Type == v1alpha1.ConditionRotationPending {
			pending = c.Reason == v1alpha1.ReasonPredecessorsKept && strings.Contains(c.Message, string(plan.TriggerChanged))
		}
	}
	if !pending {
		t.Errorf("the status does not say that a rotation waits: %+v", at.Status.Conditions)
	}
	_, err := k.Rotate(w.ctx, rootCaller, w.scope(), w.namespace+":indexer", "")
	if after, ok := retryAfter(err); !ok || after != 24*time.Hour-40*time.Minute {
		t.Errorf("an administrator is told %v, after %s", err, after)
	}
	w.now = w.now.Add(24*time.Hour - 40*time.Minute)
	w.must(o.settle())
	w.must(w.checkInvariants())
	if r := w.newestRecord(); r.Version != 5 || r.Trigger != "6" {
		t.Errorf("then it is version %d of trigger %q", r.Version, r.Trigger)
	}
}

func TestSelfRotation_AtMostOncePerMinOverlap(t *testing.T) {
	w := newFixture(t)
	k, other := w.newManagementReplica(api), w.newManagementReplica(api)
	made, err := k.Create(w.ctx, rootCaller, w.scope(), ciToken())
	w.must(err)
	second, err := k.RotateOwn(w.ctx, rootCaller, made.Secret.Digest(), "")
	w.must(err)
	if !strings.Contains(<-k.recorder.Events, v1alpha1.EventSelfRotated) {
		t.Error("no event says that its holder rotated it")
	}
	answered, failed := w.callConcurrently(8, func(k *managementReplica) (management.Issued, error) {
		return k.RotateOwn(w.ctx, rootCaller, second.Secret.Digest(), "")
	})
	for _, err := range failed {
		if after, ok := retryAfter(err); !ok || after != 10*time.Minute {
			t.Errorf("%v, after %s", err, after)
		}
	}
	if len(answered) > 0 {
		t.Errorf("%d more rotations within minOverlap", len(answered))
	}
	w.must(w.checkLastDelivered(second.Secret, 1))
	if _, err := k.Rotate(w.ctx, rootCaller, w.scope(), "CI_deploy", ""); err != nil {
		t.Errorf("an administrator: %v", err)
	}
	w.now = w.now.Add(10 * time.Minute)
	if _, err := other.RotateOwn(w.ctx, rootCaller, second.Secret.Digest(), ""); !errors.Is(err, management.ErrSuperseded) {
		t.Errorf("the holder of the predecessor: %v", err)
	}
}

// If holders present the token with different keys at the same time, one of them rotates it.
func TestSelfRotation_OneOfManyWithDifferentKeys(t *testing.T) {
	w := newFixture(t)
	made, err := w.newManagementReplica(api).Create(w.ctx, rootCaller, w.scope(), ciToken())
	w.must(err)
	var mu sync.Mutex
	n := 0
	answered, failed := w.callConcurrently(8, func(k *managementReplica) (management.Issued, error) {
		mu.Lock()
		n++
		key := strings.Repeat("k", n)
		mu.Unlock()
		return k.RotateOwn(w.ctx, rootCaller, made.Secret.Digest(), key)
	})
	if len(answered) != 1 {
		t.Fatalf("%d rotated it", len(answered))
	}
	for _, err := range failed {
		if !errors.Is(err, management.ErrSuperseded) {
			t.Errorf("%v", err)
		}
	}
	w.must(w.checkLastDelivered(answered[0].Secret, 1))
}

func TestSelfRotation_ForbiddenByClient(t *testing.T) {
	w := newFixture(t)
	w.mustEditClient(func(c *v1alpha1.Client) { c.Spec.Tokens.SelfRotation = v1alpha1.SelfRotationForbid })
	w.createUser(nil)
	w.must(w.declareToken())
	k, o := w.newManagementReplica(api), w.newOperator(api, api)
	w.must(o.settle())
	made, err := k.Create(w.ctx, rootCaller, w.scope(), ciToken())
	w.must(err)
	users, err := k.Create(w.ctx, rootCaller, management.Scope{Client: w.clientName, User: w.userName()}, management.TokenSpec{Name: "hers"})
	w.must(err)
	held := w.tokenInSecret()
	for name, tok := range map[string]token.Token{"a client's": made.Secret, "a user's": users.Secret, "one in a Secret": held} {
		_, err := k.RotateOwn(w.ctx, rootCaller, tok.Digest(), "")
		if no, ok := errors.AsType[*management.Denied](err); !ok || !strings.Contains(no.Message, "spec.tokens.selfRotation") {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.must(w.editToken(func(at *v1alpha1.ApplicationToken) {
		at.Annotations = map[string]string{v1alpha1.AnnotationRotateSelf: held.Digest().RecordName()}
	}))
	w.must(o.settle())
	if w.tokenInSecret().Digest() != held.Digest() {
		t.Error("the annotation rotates it all the same")
	}
	for _, name := range []string{"CI_deploy", w.namespace + ":indexer"} {
		if _, err := k.Rotate(w.ctx, rootCaller, w.scope(), name, ""); err != nil {
			t.Errorf("an administrator rotates %s: %v", name, err)
		}
	}
}

func TestSelfRotation_ChainNeverOutlivesPolicy(t *testing.T) {
	w := newFixture(t)
	w.mustEditClient(func(c *v1alpha1.Client) {
		c.Spec.Tokens.MaxLifetime, c.Spec.Tokens.NonExpiring = "1h", v1alpha1.NonExpiringForbid
	})
	k, o := w.newManagementReplica(api), w.newOperator(api, api)
	made, err := k.Create(w.ctx, rootCaller, w.scope(), ciToken())
	w.must(err)
	end := w.now.Add(time.Hour)
	held := made.Secret
	for range plan.MaxPredecessors - 1 {
		w.now = w.now.Add(11 * time.Minute)
		next, err := k.RotateOwn(w.ctx, rootCaller, held.Digest(), "")
		w.must(err)
		w.must(o.settleOwnNamespace())
		held = next.Secret
		if r := w.recordOf(held); !r.ExpiresAt.Equal(end) || !next.Token.ExpiresAt.Equal(end) {
			t.Fatalf("version %d ends at %s, not at %s", r.Version, r.ExpiresAt, end)
		}
	}
	admin, err := k.Rotate(w.ctx, rootCaller, w.scope(), "CI_deploy", "")
	w.must(err)
	if r := w.recordOf(admin.Secret); !r.ExpiresAt.Equal(w.now.Add(time.Hour)) {
		t.Errorf("an administrator's version ends at %s", r.ExpiresAt)
	}
	w.now = end
	if w.isAccepted(held) {
		t.Error("the chain outlives what it descends from")
	}
	w.mustEditClient(func(c *v1alpha1.Client) { c.Spec.Tokens.MaxLifetime = "30m" })
	if _, err := k.RotateOwn(w.ctx, rootCaller, admin.Secret.Digest(), ""); err == nil {
		t.Error("a holder rotates what the policy forbids now")
	}
}

func TestSelfRotation_SecretKeepsDeclaredExpiry(t *testing.T) {
	w := newFixture(t)
	w.must(w.declareToken())
	w.must(w.editToken(func(at *v1alpha1.ApplicationToken) { at.Spec.Lifetime = "100h" }))
	k, o := w.newManagementReplica(api), w.newOperator(api, api)
	w.must(o.settle())
	end := w.now.Add(100 * time.Hour)
	for range plan.MaxPredecessors - 1 {
		w.now = w.now.Add(10 * time.Minute)
		_, err := k.RotateOwn(w.ctx, rootCaller, w.tokenInSecret().Digest(), "")
		w.must(err)
		w.must(o.settle())
		w.must(w.checkInvariants())
		if r := w.newestRecord(); !r.ExpiresAt.Equal(end) || !r.IssuedAt.Equal(w.now) {
			t.Errorf("version %d of %s ends at %s, not at %s", r.Version, r.IssuedAt, r.ExpiresAt, end)
		}
	}
	_, err := k.RotateOwn(w.ctx, rootCaller, w.tokenInSecret().Digest(), "")
	if after, ok := retryAfter(err); !ok || after != 10*time.Minute {
		t.Errorf("at once again: %v, after %s", err, after)
	}
}
