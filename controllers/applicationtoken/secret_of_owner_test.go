package applicationtoken_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/plan"
	"github.com/apptoken/operator/internal/testing/operatortest"
)

// ownersKey is a key of the Secret's owner, which the token does not set.
const ownersKey = "DB_PASSWORD"

// replaceSecret replaces the token's Secret by one that is its owner's own: it has no mark, and
// holds the token and ownersKey.
func (w *fixture) replaceSecret() {
	w.T.Helper()
	var s corev1.Secret
	w.Must(api.Get(w.Ctx, w.Key(), &s))
	w.Must(api.Delete(w.Ctx, &s))
	w.Must(api.Create(w.Ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: s.Name},
		Data:       map[string][]byte{"token": s.Data["token"], ownersKey: []byte("of the owner")},
	}))
}

// hasOwnersKey reports whether the token's Secret still has the key of its owner.
func (w *fixture) hasOwnersKey() bool {
	w.T.Helper()
	var s corev1.Secret
	w.Must(api.Get(w.Ctx, w.Key(), &s))
	return string(s.Data[ownersKey]) == "of the owner"
}

func TestMarks_SecretOfItsOwnerIsNotWritten(t *testing.T) {
	for sentence, change := range map[string]func(w *fixture){
		"by a reconcile": func(*fixture) {},
		"by a rotation": func(w *fixture) {
			w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) { at.Spec.Rotation.Trigger = "2" }))
		},
		"while the spec is refused": func(w *fixture) {
			w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) { at.Spec.Roles = []v1alpha1.RoleName{"unknown"} }))
		},
		"after a rename": func(w *fixture) {
			w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) { at.Spec.Secret.Name = "renamed" }))
		},
		"by a revocation": func(w *fixture) {
			w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) { at.Spec.State = v1alpha1.TokenRevoked }))
		},
		"by a deletion": func(w *fixture) { w.Must(api.Delete(w.Ctx, w.Token())) },
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			w := newFixture(t)
			w.Must(w.DeclareToken())
			o := w.startWithCache()
			w.Must(o.Settle())
			w.replaceSecret()
			written := w.secretResourceVersion()
			change(w)
			w.Must(o.Settle())
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
	w.Must(w.DeclareToken())
	o := w.startWithCache()
	w.Must(o.Settle())
	issued, r := w.secretText(), w.NewestRecordName()
	w.replaceSecret()
	w.Must(o.Settle())
	w.Now = w.Now.Add(2 * plan.OrphanAge)
	w.Must(o.Settle())
	reason, message := operatortest.Readiness(w.Token())
	if reason != v1alpha1.ReasonSecretTaken || !strings.Contains(message, v1alpha1.AnnotationAdopt) {
		t.Errorf("Ready is %s: %s", reason, message)
	}
	if w.NewestRecordName() != r || w.RecordsLeft() != 1 {
		t.Error("the token in it was ended")
	}
	w.editSecret(func(s *corev1.Secret) { s.Labels = offerLabels })
	w.Must(o.Settle())
	if reason, _ := operatortest.Readiness(w.Token()); reason != v1alpha1.ReasonSecretTaken || !w.hasOwnersKey() {
		t.Errorf("half offered, Ready is %s; the owner's key is there: %t", reason, w.hasOwnersKey())
	}
	w.editSecret(func(s *corev1.Secret) { s.Annotations = offerAnnotations })
	w.Must(o.Settle())
	if reason, _ := operatortest.Readiness(w.Token()); reason != v1alpha1.ReasonIssued || w.secretText() != issued || !w.hasOwnersKey() || !w.isMarkedWith(r) {
		t.Errorf("offered, Ready is %s; the token is the same: %t; the owner's key is there: %t", reason, w.secretText() == issued, w.hasOwnersKey())
	}
}

// config/policy refuses writes of the operator to a Secret that another controller has taken.
func TestMarks_SecretOfAnotherControllerIsForeign(t *testing.T) {
	w := newFixture(t)
	w.Must(w.declareLabelled("team"))
	o := w.startWithCache()
	w.Must(o.Settle())
	issued, r := w.secretText(), w.NewestRecordName()
	w.editSecret(func(s *corev1.Secret) {
		s.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "x", UID: "1", Controller: new(true)}}
	})
	w.Must(o.Settle())
	if reason, message := operatortest.Readiness(w.Token()); reason != v1alpha1.ReasonSecretTaken || !strings.Contains(message, "ConfigMap x") {
		t.Errorf("Ready is %s: %s", reason, message)
	}
	if w.secretText() != issued || w.NewestRecordName() != r {
		t.Error("the token was replaced")
	}
	w.editSecret(func(s *corev1.Secret) { s.OwnerReferences = nil })
	w.Must(o.Settle())
	if reason, _ := operatortest.Readiness(w.Token()); reason != v1alpha1.ReasonIssued || w.secretText() != issued || !w.isMarked() {
		t.Errorf("Ready is %s; the token is the same: %t", reason, w.secretText() == issued)
	}
}
