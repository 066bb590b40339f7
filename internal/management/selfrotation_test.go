package management_test

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
	"github.com/apptoken/operator/internal/testing/operatortest"
	"github.com/apptoken/operator/internal/token"
)

// recordOf reads the record of a token.
func (w *fixture) recordOf(tok token.Token) record.Record {
	w.T.Helper()
	r, err := w.Store().Find(w.Ctx, tok.Digest())
	w.Must(err)
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
			k := w.NewManagementReplica(api)
			stolen, err := k.Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken())
			w.Must(err)
			next, err := k.Rotate(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", by)
			w.Must(err)
			for range 2 {
				if _, err := k.RotateOwn(w.Ctx, operatortest.RootCaller, stolen.Secret.Digest(), key); !errors.Is(err, management.ErrSuperseded) {
					t.Errorf("%s, where the administrator sent %s: %v", name, how, err)
				}
			}
			w.Must(w.CheckLastDelivered(next.Secret, 1))
		}
	}
}

// The successor may come from a change in Git, and is then not delivered in a response.
func TestRotate_HolderOfPredecessorRotatesNoSecret(t *testing.T) {
	w := newFixture(t)
	w.Must(w.DeclareToken())
	k, o := w.NewManagementReplica(api), w.NewOperator(api, api)
	w.Must(o.Settle())
	stolen := w.TokenInSecret()
	w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) { at.Spec.Rotation.Trigger = "2" }))
	w.Must(o.Settle())
	next := w.TokenInSecret()
	if _, err := k.RotateOwn(w.Ctx, operatortest.RootCaller, stolen.Digest(), ""); !errors.Is(err, management.ErrSuperseded) {
		t.Errorf("after the trigger: %v", err)
	}
	// The request was decided before the trigger, and is written after it.
	w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) {
		at.Annotations = map[string]string{v1alpha1.AnnotationRotateSelf: stolen.Digest().RecordName()}
	}))
	w.Must(o.Settle())
	w.Must(w.CheckInvariants())
	if w.TokenInSecret().Digest() != next.Digest() {
		t.Error("the holder of a predecessor has rotated the Secret")
	}
}

func TestRotate_HolderOverwritesNoRequestOfAdministrator(t *testing.T) {
	w := newFixture(t)
	w.Must(w.DeclareToken())
	w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) { at.Spec.Lifetime = "100h" }))
	k, o := w.NewManagementReplica(api), w.NewOperator(api, api)
	w.Must(o.Settle())
	name := w.Namespace + ":indexer"
	w.Now = w.Now.Add(time.Hour)
	_, err := k.Rotate(w.Ctx, operatortest.RootCaller, w.Scope(), name, "a key")
	w.Must(err)
	_, err = k.RotateOwn(w.Ctx, operatortest.RootCaller, w.TokenInSecret().Digest(), "") // before the reconciler has observed either
	w.Must(err)
	w.Must(o.Settle())
	w.Must(w.CheckInvariants())
	if r := w.NewestRecord(); r.Version != 2 || !r.AuthorizedAt.IsZero() || !r.ExpiresAt.Equal(w.Now.Add(100*time.Hour)) {
		t.Errorf("version %d was authorized at %s and ends at %s", r.Version, r.AuthorizedAt, r.ExpiresAt)
	}
}

func TestRotate_RetryIsOfTheSameCallerAndBounded(t *testing.T) {
	w := newFixture(t)
	k := w.NewManagementReplica(api)
	_, err := k.Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken())
	w.Must(err)
	first, err := k.Rotate(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", "a key")
	w.Must(err)
	began := w.Now
	w.Now = began.Add(plan.RetryWindow - time.Second)
	second, err := k.Rotate(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", "a key")
	w.Must(err)
	if w.IsAccepted(first.Secret) || !w.IsAccepted(second.Secret) || second.Token.Rotations != 1 {
		t.Errorf("a retry gave %+v", second.Token)
	}
	if r := w.recordOf(second.Secret); !r.IssuedAt.Equal(began) || !r.ExpiresAt.Equal(began.Add(time.Hour)) {
		t.Errorf("[5] made again, it counts from %s and ends at %s", r.IssuedAt, r.ExpiresAt)
	}
	w.Now = began.Add(plan.RetryWindow)
	if _, err := k.Rotate(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", "a key"); !errors.Is(err, management.ErrRetryExpired) {
		t.Errorf("a late retry: %v", err)
	}
	w.Now = began.Add(10 * time.Minute)
	other := operatortest.RootCaller
	other.ID = "user mallory"
	third, err := k.Rotate(w.Ctx, other, w.Scope(), "CI_deploy", "a key")
	w.Must(err)
	if !w.IsAccepted(second.Secret) || third.Token.Rotations != 2 {
		t.Errorf("another caller's request with the same key gave %+v", third.Token)
	}
	if _, err := k.Rotate(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", "a key"); !errors.Is(err, management.ErrRetryExpired) {
		t.Errorf("a retry after another rotation: %v", err)
	}
	w.Must(w.CheckLastDelivered(third.Secret, 2))
}

func TestClone_RetryIsBounded(t *testing.T) {
	w := newFixture(t)
	k := w.NewManagementReplica(api)
	_, err := k.Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken())
	w.Must(err)
	first, err := k.Clone(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", "copy", "key")
	w.Must(err)
	other := operatortest.RootCaller
	other.ID = "user mallory"
	if _, err := k.Clone(w.Ctx, other, w.Scope(), "CI_deploy", "copy", "key"); !errors.Is(err, management.ErrExists) {
		t.Errorf("another caller with the same key: %v", err)
	}
	w.Now = w.Now.Add(plan.RetryWindow)
	if _, err := k.Clone(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", "copy", "key"); !errors.Is(err, management.ErrRetryExpired) {
		t.Errorf("a late retry: %v", err)
	}
	if !w.IsAccepted(first.Secret) {
		t.Error("the clone is no longer valid")
	}
}

func TestRotate_EndsNoPredecessor(t *testing.T) {
	w := newFixture(t)
	k := w.NewManagementReplica(api)
	made, err := k.Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken(func(d *management.TokenSpec) { d.Lifetime = 0 }))
	w.Must(err)
	began := w.Now
	tokens := []token.Token{made.Secret}
	for range plan.MaxPredecessors {
		w.Now = w.Now.Add(10 * time.Minute)
		next, err := k.Rotate(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", "")
		w.Must(err)
		tokens = append(tokens, next.Secret)
	}
	for _, key := range []string{"", "key"} {
		_, err := k.Rotate(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", key)
		if after, ok := retryAfter(err); !ok || after != 24*time.Hour-20*time.Minute {
			t.Errorf("a fourth one: %v, after %s", err, after)
		}
		if _, err := k.RotateOwn(w.Ctx, operatortest.RootCaller, tokens[3].Digest(), key); err == nil {
			t.Error("a holder makes a fourth one")
		}
	}
	w.Must(w.CheckLastDelivered(tokens[3], 3))
	w.Now = began.Add(10*time.Minute + 24*time.Hour)
	next, err := k.Rotate(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", "")
	w.Must(err)
	w.Must(w.CheckLastDelivered(next.Secret, 3))
	for i, tok := range tokens {
		if w.IsAccepted(tok) != (i > 0) {
			t.Errorf("version %d is valid: %t", i+1, w.IsAccepted(tok))
		}
	}
}

func TestRotate_TriggersWaitForPredecessorLimit(t *testing.T) {
	w := newFixture(t)
	w.Must(w.DeclareToken())
	k, o := w.NewManagementReplica(api), w.NewOperator(api, api)
	w.Must(o.Settle())
	first := w.TokenInSecret()
	for _, trigger := range []string{"2", "3", "4", "5", "6"} {
		w.Now = w.Now.Add(10 * time.Minute)
		w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) { at.Spec.Rotation.Trigger = trigger }))
		w.Must(o.Settle())
		w.Must(w.CheckInvariants())
	}
	if r := w.NewestRecord(); r.Version != 4 || !w.IsAccepted(first) {
		t.Errorf("version %d; the first is valid: %t", r.Version, w.IsAccepted(first))
	}
	if reason, _ := operatortest.Readiness(w.Token()); reason != v1alpha1.ReasonIssued {
		t.Errorf("meanwhile it is %s", reason)
	}
	at := w.Token()
	pending := false
	for _, c := range at.Status.Conditions {
		if c.Type == v1alpha1.ConditionRotationPending {
			pending = c.Reason == v1alpha1.ReasonPredecessorsKept && strings.Contains(c.Message, string(plan.TriggerChanged))
		}
	}
	if !pending {
		t.Errorf("the status does not report that a rotation waits: %+v", at.Status.Conditions)
	}
	_, err := k.Rotate(w.Ctx, operatortest.RootCaller, w.Scope(), w.Namespace+":indexer", "")
	if after, ok := retryAfter(err); !ok || after != 24*time.Hour-40*time.Minute {
		t.Errorf("an administrator gets %v, after %s", err, after)
	}
	w.Now = w.Now.Add(24*time.Hour - 40*time.Minute)
	w.Must(o.Settle())
	w.Must(w.CheckInvariants())
	if r := w.NewestRecord(); r.Version != 5 || r.Trigger != "6" {
		t.Errorf("then it is version %d of trigger %q", r.Version, r.Trigger)
	}
}

func TestSelfRotation_AtMostOncePerMinOverlap(t *testing.T) {
	w := newFixture(t)
	k, other := w.NewManagementReplica(api), w.NewManagementReplica(api)
	made, err := k.Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken())
	w.Must(err)
	second, err := k.RotateOwn(w.Ctx, operatortest.RootCaller, made.Secret.Digest(), "")
	w.Must(err)
	if !strings.Contains(<-k.Recorder.Events, v1alpha1.EventSelfRotated) {
		t.Error("no event reports that its holder rotated it")
	}
	answered, failed := w.callConcurrently(8, func(k *operatortest.ManagementReplica) (management.Issued, error) {
		return k.RotateOwn(w.Ctx, operatortest.RootCaller, second.Secret.Digest(), "")
	})
	for _, err := range failed {
		if after, ok := retryAfter(err); !ok || after != 10*time.Minute {
			t.Errorf("%v, after %s", err, after)
		}
	}
	if len(answered) > 0 {
		t.Errorf("%d more rotations within minOverlap", len(answered))
	}
	w.Must(w.CheckLastDelivered(second.Secret, 1))
	if _, err := k.Rotate(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", ""); err != nil {
		t.Errorf("an administrator: %v", err)
	}
	w.Now = w.Now.Add(10 * time.Minute)
	if _, err := other.RotateOwn(w.Ctx, operatortest.RootCaller, second.Secret.Digest(), ""); !errors.Is(err, management.ErrSuperseded) {
		t.Errorf("the holder of the predecessor: %v", err)
	}
}

// If holders present the token with different keys at the same time, one of them rotates it.
func TestSelfRotation_OneOfManyWithDifferentKeys(t *testing.T) {
	w := newFixture(t)
	made, err := w.NewManagementReplica(api).Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken())
	w.Must(err)
	var mu sync.Mutex
	n := 0
	answered, failed := w.callConcurrently(8, func(k *operatortest.ManagementReplica) (management.Issued, error) {
		mu.Lock()
		n++
		key := strings.Repeat("k", n)
		mu.Unlock()
		return k.RotateOwn(w.Ctx, operatortest.RootCaller, made.Secret.Digest(), key)
	})
	if len(answered) != 1 {
		t.Fatalf("%d rotated it", len(answered))
	}
	for _, err := range failed {
		if !errors.Is(err, management.ErrSuperseded) {
			t.Errorf("%v", err)
		}
	}
	w.Must(w.CheckLastDelivered(answered[0].Secret, 1))
}

func TestSelfRotation_ForbiddenByClient(t *testing.T) {
	w := newFixture(t)
	w.MustEditClient(func(c *v1alpha1.Client) { c.Spec.Tokens.SelfRotation = v1alpha1.SelfRotationForbid })
	w.CreateUser(nil)
	w.Must(w.DeclareToken())
	k, o := w.NewManagementReplica(api), w.NewOperator(api, api)
	w.Must(o.Settle())
	made, err := k.Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken())
	w.Must(err)
	users, err := k.Create(w.Ctx, operatortest.RootCaller, management.Scope{Client: w.ClientName, User: w.UserName()}, management.TokenSpec{Name: "hers"})
	w.Must(err)
	held := w.TokenInSecret()
	for name, tok := range map[string]token.Token{"a client's": made.Secret, "a user's": users.Secret, "one in a Secret": held} {
		_, err := k.RotateOwn(w.Ctx, operatortest.RootCaller, tok.Digest(), "")
		if no, ok := errors.AsType[*management.Denied](err); !ok || !strings.Contains(no.Message, "spec.tokens.selfRotation") {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) {
		at.Annotations = map[string]string{v1alpha1.AnnotationRotateSelf: held.Digest().RecordName()}
	}))
	w.Must(o.Settle())
	if w.TokenInSecret().Digest() != held.Digest() {
		t.Error("the annotation rotates it all the same")
	}
	for _, name := range []string{"CI_deploy", w.Namespace + ":indexer"} {
		if _, err := k.Rotate(w.Ctx, operatortest.RootCaller, w.Scope(), name, ""); err != nil {
			t.Errorf("an administrator rotates %s: %v", name, err)
		}
	}
}

func TestSelfRotation_ChainNeverOutlivesPolicy(t *testing.T) {
	w := newFixture(t)
	w.MustEditClient(func(c *v1alpha1.Client) {
		c.Spec.Tokens.MaxLifetime, c.Spec.Tokens.NonExpiring = "1h", v1alpha1.NonExpiringForbid
	})
	k, o := w.NewManagementReplica(api), w.NewOperator(api, api)
	made, err := k.Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken())
	w.Must(err)
	end := w.Now.Add(time.Hour)
	held := made.Secret
	for range plan.MaxPredecessors - 1 {
		w.Now = w.Now.Add(11 * time.Minute)
		next, err := k.RotateOwn(w.Ctx, operatortest.RootCaller, held.Digest(), "")
		w.Must(err)
		w.Must(o.SettleOwnNamespace())
		held = next.Secret
		if r := w.recordOf(held); !r.ExpiresAt.Equal(end) || !next.Token.ExpiresAt.Equal(end) {
			t.Fatalf("version %d ends at %s, not at %s", r.Version, r.ExpiresAt, end)
		}
	}
	admin, err := k.Rotate(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", "")
	w.Must(err)
	if r := w.recordOf(admin.Secret); !r.ExpiresAt.Equal(w.Now.Add(time.Hour)) {
		t.Errorf("an administrator's version ends at %s", r.ExpiresAt)
	}
	w.Now = end
	if w.IsAccepted(held) {
		t.Error("the chain outlives what it descends from")
	}
	w.MustEditClient(func(c *v1alpha1.Client) { c.Spec.Tokens.MaxLifetime = "30m" })
	if _, err := k.RotateOwn(w.Ctx, operatortest.RootCaller, admin.Secret.Digest(), ""); err == nil {
		t.Error("a holder rotates what the policy forbids now")
	}
}

func TestSelfRotation_SecretKeepsDeclaredExpiry(t *testing.T) {
	w := newFixture(t)
	w.Must(w.DeclareToken())
	w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) { at.Spec.Lifetime = "100h" }))
	k, o := w.NewManagementReplica(api), w.NewOperator(api, api)
	w.Must(o.Settle())
	end := w.Now.Add(100 * time.Hour)
	for range plan.MaxPredecessors - 1 {
		w.Now = w.Now.Add(10 * time.Minute)
		_, err := k.RotateOwn(w.Ctx, operatortest.RootCaller, w.TokenInSecret().Digest(), "")
		w.Must(err)
		w.Must(o.Settle())
		w.Must(w.CheckInvariants())
		if r := w.NewestRecord(); !r.ExpiresAt.Equal(end) || !r.IssuedAt.Equal(w.Now) {
			t.Errorf("version %d of %s ends at %s, not at %s", r.Version, r.IssuedAt, r.ExpiresAt, end)
		}
	}
	_, err := k.RotateOwn(w.Ctx, operatortest.RootCaller, w.TokenInSecret().Digest(), "")
	if after, ok := retryAfter(err); !ok || after != 10*time.Minute {
		t.Errorf("at once again: %v, after %s", err, after)
	}
}
