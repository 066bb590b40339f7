package controllers_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/apptoken/operator/api/v1alpha1"
)

// named returns a token of the namespace.
func (w *world) named(name string) *v1alpha1.ApplicationToken {
	w.t.Helper()
	var at v1alpha1.ApplicationToken
	w.must(api.Get(w.ctx, types.NamespacedName{Namespace: w.shop, Name: name}, &at))
	return &at
}

// reconcile reconciles tokens of the namespace once, in order.
func (o *operator) reconcile(names ...string) {
	o.w.t.Helper()
	for _, name := range names {
		_, err := o.tokens.Reconcile(o.w.ctx, o.w.named(name))
		o.w.must(err)
	}
}

// rename gives the Secret of a token another name.
func (w *world) rename(name, secret string) {
	w.t.Helper()
	at := w.named(name)
	at.Spec.Secret.Name = v1alpha1.ObjectName(secret)
	w.must(api.Update(w.ctx, at))
}

func TestExchange_CircleIsReportedAndSolvable(t *testing.T) {
	for size, names := range map[string][]string{"two": {"a", "b"}, "three": {"a", "b", "c"}} {
		t.Run(size, func(t *testing.T) {
			w := newWorld(t)
			for _, name := range names {
				w.must(api.Create(w.ctx, &v1alpha1.ApplicationToken{
					ObjectMeta: metav1.ObjectMeta{Namespace: w.shop, Name: name},
					Spec: v1alpha1.ApplicationTokenSpec{
						ClientRef: &v1alpha1.Reference{Name: v1alpha1.ObjectName(w.client)}, Roles: []v1alpha1.RoleName{"primary"},
					},
				}))
			}
			text := func(name string) string {
				var s corev1.Secret
				if err := api.Get(w.ctx, types.NamespacedName{Namespace: w.shop, Name: name}, &s); !apierrors.IsNotFound(err) {
					w.must(err)
				}
				return string(s.Data["token"])
			}
			o := w.start(api, api)
			o.reconcile(names...)
			issued := map[string]string{}
			for _, name := range names {
				issued[name] = text(name)
			}
			next := func(i int) string { return names[(i+1)%len(names)] }
			for i, name := range names {
				w.rename(name, next(i))
			}
			o.reconcile(names...)
			for i, name := range names {
				reason, message := readiness(w.named(name))
				if reason != v1alpha1.ReasonSecretTaken || !strings.Contains(message, "this token and "+next(i)) || !strings.Contains(message, "give one of them a name that no Secret has") || text(name) != issued[name] {
					t.Errorf("%s is %s: %s; the token stays: %t", name, reason, message, text(name) == issued[name])
				}
			}

			w.rename("a", "free")
			for range names {
				o.reconcile(names...)
			}
			w.rename("a", "b")
			o.reconcile("a")
			for i, name := range names {
				if reason, message := readiness(w.named(name)); reason != v1alpha1.ReasonIssued || text(next(i)) != issued[name] {
					t.Errorf("%s is %s: %s; Secret %s holds its token: %t", name, reason, message, next(i), text(next(i)) == issued[name])
				}
			}
		})
	}
}

func TestExchange_WaitForAnotherIsNone(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"a", "b"} {
		w.must(api.Create(w.ctx, &v1alpha1.ApplicationToken{
			ObjectMeta: metav1.ObjectMeta{Namespace: w.shop, Name: name},
			Spec:       v1alpha1.ApplicationTokenSpec{ClientRef: &v1alpha1.Reference{Name: v1alpha1.ObjectName(w.client)}, Roles: []v1alpha1.RoleName{"primary"}},
		}))
	}
	o := w.start(api, api)
	o.reconcile("a", "b")
	w.rename("a", "b")
	o.reconcile("a", "b")
	if reason, message := readiness(w.named("a")); reason != v1alpha1.ReasonSecretTaken || strings.Contains(message, "exchange") {
		t.Errorf("a is %s: %s", reason, message)
	}
}
