package applicationtoken_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/plan"
)

// ownersKey is a key of the Secret's owner, which the token does not set.
const ownersKey = "DB_PASSWORD"

// replaceSecret replaces the token's Secret by one that is its owner's own: it has no mark, and
// holds the token and ownersKey.
func (w *fixture) replaceSecret() {
	w.t.Helper()
	var s corev1.Secret
	w.must(api.Get(w.ctx, w.key(), &s))
	w.must(api.Delete(w.ctx, &s))
	w.must(api.Create(w.ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: s.Name},
		Data:       map[string][]byte{"token": s.Data["token"], ownersKey: []byte("of the owner")},
	}))
}

// hasOwnersKey reports whether the token's Secret still has the key of its owner.
func (w *fixture) hasOwnersKey() bool {
	w.t.Helper()
	var s corev1.Secret
	w.must(api.Get(w.ctx, w.key(), &s))
	return string(s.Data[ownersKey]) == "of the owner"
}

func TestMarks_SecretOfItsOwnerIsNotWritten(t *testing.T) {
	for sentence, change := range map[string]func(w *fixture){
		"by a reconcile": func(*fixture) {},
		"by a rotation": func(w *fixture) {
			w.must(w.editToken(func(at *v1alpha1.ApplicationToken) { at.Spec.Rotation.Trigger = "2" }))
		},
		"while the spec is refused": func(w *fixture) {
			w.must(w.editToken(func(at *v1alpha1.ApplicationToken) { at.Spec.Roles = []v1alpha1.RoleName{"unknown"} }))
		},
		"after a rename": func(w *fixture) {
			w.must(w.editToken(func(at *v1alpha1.ApplicationToken) { at.Spec.Secret.Name = "renamed" }))
		},
		"by a revocation": func(w *fixture) {
			w.must(w.editToken(func(at *v1alpha1.ApplicationToken) { at.Spec.State = v1alpha1.TokenRevoked }))
		},
		"by a deletion": func(w *fixture) { w.must(api.Delete(w.ctx, w.token())) },
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			w := newFixture(t)
			w.must(w.declareToken())
			o := w.startWithCache()
			w.must(o.settle())
			w.replaceSecret()
			written := w.secretResourceVersion()
			change(w)
			w.must(o.settle())
			if !w.hasOwnersKey() || w.secretResourceVersion() != written {
				t.Error("the Secret was written")
			}
		})
	}
}

// The token in a Secret that is its owner's own stays valid, and the owner can offer the Secret to
// the token.
func TestMarks_SecretOfItsOwnerIsTakenUntilOffered(t *testing.T) {
	w := newFixture(t)
	w.must(w.declareToken())
	o := w.startWithCache()
	w.must(o.settle())
	issued, r := w.secretText(), w.newestRecordName()
	w.replaceSecret()
	w.must(o.settle())
	w.now = w.now.Add(2 * plan.OrphanAge)
	w.must(o.settle())
	reason, message := readiness(w.token())
	if reason != v1alpha1.ReasonSecretTaken || !strings.Contains(message, v1alpha1.AnnotationAdopt) {
		t.Errorf("Ready is %s: %s", reason, message)
	}
	if w.newestRecordName() != r || w.recordsLeft() != 1 {
		t.Error("the token in it was ended")
	}
	w.editSecret(func(s *corev1.Secret) { s.Labels = offerLabels })
	w.must(o.settle())
	if reason, _ := readiness(w.token()); reason != v1alpha1.ReasonSecretTaken || !w.hasOwnersKey() {
		t.Errorf("half offered, Ready is %s; the owner's key is there: %t", reason, w.hasOwnersKey())
	}
	w.editSecret(func(s *corev1.Secret) { s.Annotations = offerAnnotations })
	w.must(o.settle())
	if reason, _ := readiness(w.token()); reason != v1alpha1.ReasonIssued || w.secretText() != issued || !w.hasOwnersKey() || !w.isMarkedWith(r) {
		t.Errorf("offered, Ready is %s; the token is the same: %t; the owner's key is there: %t", reason, w.secretText() == issued, w.hasOwnersKey())
	}
}

// config/policy refuses writes of the operator to a Secret that another controller has taken.
func TestMarks_SecretOfAnotherControllerIsForeign(t *testing.T) {
	w := newFixture(t)
	w.must(w.declareLabelled("team"))
	o := w.startWithCache()
	w.must(o.settle())
	issued, r := w.secretText(), w.newestRecordName()
	w.editSecret(func(s *corev1.Secret) {
		s.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "x", UID: "1", Controller: new(true)}}
	})
	w.must(o.settle())
	if reason, message := readiness(w.token()); reason != v1alpha1.ReasonSecretTaken || !strings.Contains(message, "ConfigMap x") {
		t.Errorf("Ready is %s: %s", reason, message)
	}
	if w.secretText() != issued || w.newestRecordName() != r {
		t.Error("the token was replaced")
	}
	w.editSecret(func(s *corev1.Secret) { s.OwnerReferences = nil })
	w.must(o.settle())
	if reason, _ := readiness(w.token()); reason != v1alpha1.ReasonIssued || w.secretText() != issued || !w.isMarked() {
		t.Errorf("Ready is %s; the token is the same: %t", reason, w.secretText() == issued)
	}
}
