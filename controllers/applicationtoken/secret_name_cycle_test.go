package applicationtoken_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/testing/operatortest"
)

// getToken returns a token of the namespace.
func (w *fixture) getToken(name string) *v1alpha1.ApplicationToken {
	w.T.Helper()
	var at v1alpha1.ApplicationToken
	w.Must(api.Get(w.Ctx, types.NamespacedName{Namespace: w.Namespace, Name: name}, &at))
	return &at
}

// reconcile reconciles tokens of the namespace once, in order.
func (w *fixture) reconcile(o *operatortest.Operator, names ...string) {
	w.T.Helper()
	for _, name := range names {
		_, err := o.Tokens.Reconcile(w.Ctx, w.getToken(name))
		w.Must(err)
	}
}

// renameSecret gives the Secret of a token another name.
func (w *fixture) renameSecret(name, secret string) {
	w.T.Helper()
	at := w.getToken(name)
	at.Spec.Secret.Name = v1alpha1.ObjectName(secret)
	w.Must(api.Update(w.Ctx, at))
}

func TestSecretNameCycle_IsReportedAndSolvable(t *testing.T) {
	for size, names := range map[string][]string{"two": {"a", "b"}, "three": {"a", "b", "c"}} {
		t.Run(size, func(t *testing.T) {
			w := newFixture(t)
			for _, name := range names {
				w.Must(api.Create(w.Ctx, &v1alpha1.ApplicationToken{
					ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: name},
					Spec: v1alpha1.ApplicationTokenSpec{
						ClientRef: &v1alpha1.Reference{Name: v1alpha1.ObjectName(w.ClientName)}, Roles: []v1alpha1.RoleName{"primary"},
					},
				}))
			}
			text := func(name string) string {
				var s corev1.Secret
				if err := api.Get(w.Ctx, types.NamespacedName{Namespace: w.Namespace, Name: name}, &s); !apierrors.IsNotFound(err) {
					w.Must(err)
				}
				return string(s.Data["token"])
			}
			o := w.NewOperator(api, api)
			w.reconcile(o, names...)
			issued := map[string]string{}
			for _, name := range names {
				issued[name] = text(name)
			}
			next := func(i int) string { return names[(i+1)%len(names)] }
			for i, name := range names {
				w.renameSecret(name, next(i))
			}
			w.reconcile(o, names...)
			for i, name := range names {
				reason, message := operatortest.Readiness(w.getToken(name))
				if reason != v1alpha1.ReasonSecretTaken || !strings.Contains(message, "this token and "+next(i)) || !strings.Contains(message, "give one of them a name that no Secret has") || text(name) != issued[name] {
					t.Errorf("%s is %s: %s; the token stays: %t", name, reason, message, text(name) == issued[name])
				}
			}

			w.renameSecret("a", "free")
			for range names {
				w.reconcile(o, names...)
			}
			w.renameSecret("a", "b")
			w.reconcile(o, "a")
			for i, name := range names {
				if reason, message := operatortest.Readiness(w.getToken(name)); reason != v1alpha1.ReasonIssued || text(next(i)) != issued[name] {
					t.Errorf("%s is %s: %s; Secret %s holds its token: %t", name, reason, message, next(i), text(next(i)) == issued[name])
				}
			}
		})
	}
}

func TestSecretNameCycle_WaitForAnotherIsNone(t *testing.T) {
	w := newFixture(t)
	for _, name := range []string{"a", "b"} {
		w.Must(api.Create(w.Ctx, &v1alpha1.ApplicationToken{
			ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: name},
			Spec:       v1alpha1.ApplicationTokenSpec{ClientRef: &v1alpha1.Reference{Name: v1alpha1.ObjectName(w.ClientName)}, Roles: []v1alpha1.RoleName{"primary"}},
		}))
	}
	o := w.NewOperator(api, api)
	w.reconcile(o, "a", "b")
	w.renameSecret("a", "b")
	w.reconcile(o, "a", "b")
	if reason, message := operatortest.Readiness(w.getToken("a")); reason != v1alpha1.ReasonSecretTaken || strings.Contains(message, "exchange") {
		t.Errorf("a is %s: %s", reason, message)
	}
}
