package applicationtoken_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
)

// config/policy denies the operator each write of a Secret that an object of another kind controls.
// The deletion of a token must not wait for such a write.
func TestDelete_LeavesSecretOfAnotherController(t *testing.T) {
	w := newFixture(t)
	o := w.NewOperator(api, api)
	w.Must(w.DeclareToken())
	w.Must(o.Settle())
	secret := &corev1.Secret{}
	w.Must(api.Get(w.Ctx, w.Key(), secret))
	secret.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "Deployment", Name: "another", UID: "1b1d8a0a", Controller: new(true)}}
	w.Must(api.Update(w.Ctx, secret))

	w.Must(api.Delete(w.Ctx, &v1alpha1.ApplicationToken{ObjectMeta: objectMeta(w)}))
	w.Must(o.Settle())
	if err := api.Get(w.Ctx, w.Key(), &v1alpha1.ApplicationToken{}); client.IgnoreNotFound(err) != nil || err == nil {
		t.Errorf("the token: %v, want it to be gone", err)
	}
	if n := w.RecordsLeft(); n != 0 {
		t.Errorf("%d records are left", n)
	}
	if err := api.Get(w.Ctx, w.Key(), secret); err != nil {
		t.Errorf("the Secret of the other object: %v", err)
	}
}
