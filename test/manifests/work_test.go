package manifests_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/app"
)

// worksWithItsRights runs the operator with the flags of the Deployment and as its ServiceAccount, leads tokens through
// their lives, and lists what the API server forbade meanwhile. The samples must have been applied.
func worksWithItsRights(t *testing.T, admin *rest.Config, mode string) {
	t.Helper()
	c, err := client.New(admin, client.Options{Scheme: app.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	reporter := consumer("shop", "reporter")
	if err := c.Create(t.Context(), reporter); err != nil {
		t.Fatal(err)
	}
	refused := start(t, admin, mode)

	at := &v1alpha1.ApplicationToken{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "indexer"}}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "indexer-token"}}
	await(t, c, at, "issue", func() bool { return meta.IsStatusConditionTrue(at.Status.Conditions, v1alpha1.ConditionReady) })
	await(t, c, reporter, "restart", func() bool { return len(reporter.Spec.Template.Annotations) == 1 })

	change(t, c, at, `{"spec":{"rotation":{"trigger":"2"},"permissions":["search.query"]}}`)
	await(t, c, at, "rotation", func() bool {
		return at.Status.Rotations == 1 && at.Status.ObservedGeneration == at.Generation
	})
	if err := c.Delete(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	await(t, c, secret, "reissue", func() bool { return len(secret.Data) == 1 })
	change(t, c, at, `{"spec":{"state":"Revoked"}}`)
	gone(t, c, secret)

	doomed := &v1alpha1.ApplicationToken{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "reporter"}}
	if err := c.Delete(t.Context(), doomed); err != nil {
		t.Fatal(err)
	}
	gone(t, c, doomed)
	acme := &v1alpha1.Client{ObjectMeta: metav1.ObjectMeta{Name: "acme"}}
	change(t, c, acme, `{"spec":{"state":"Suspended"}}`)
	await(t, c, acme, "suspension", func() bool { return meta.IsStatusConditionFalse(acme.Status.Conditions, v1alpha1.ConditionReady) })

	for namespace, reason := range map[string]string{"shop": v1alpha1.EventRotated, "apptoken-system": "LeaderElection"} {
		var events corev1.EventList
		eventually(t, "event "+reason+" in "+namespace, func() bool {
			return c.List(t.Context(), &events, client.InNamespace(namespace)) == nil &&
				slices.ContainsFunc(events.Items, func(e corev1.Event) bool { return e.Reason == reason })
		})
	}
	for _, request := range refused() {
		t.Error("forbidden:", request)
	}
}

// start starts the operator as its ServiceAccount. It returns what lists the requests that were forbidden.
func start(t *testing.T, admin *rest.Config, mode string) func() []string {
	t.Helper()
	var mu sync.Mutex
	var refused []string
	config := rest.CopyConfig(admin)
	config.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:apptoken-system:apptoken-operator",
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:apptoken-system", "system:authenticated"},
	}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(req)
			if err == nil && resp.StatusCode == http.StatusForbidden {
				mu.Lock()
				defer mu.Unlock()
				refused = append(refused, req.Method+" "+req.URL.Path)
			}
			return resp, err
		})
	})

	d := find[*appsv1.Deployment](t, parse(t, rendered(t, mode)), "apptoken-system", "apptoken-operator")
	args := append(slices.Clone(manager(t, d).Args), "--metrics-bind-address=0", "--health-probe-bind-address=0")
	o, err := app.ParseOptions(args, func(name string) string {
		return map[string]string{"POD_NAMESPACE": d.Namespace}[name]
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	op, err := app.NewOperator(ctx, config, o)
	if err != nil {
		stop()
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- op.Manager.Start(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the operator ended with: %v", err)
		}
	})
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		slices.Sort(refused)
		return slices.Compact(slices.Clone(refused))
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// consumer is a workload, as short as the API server takes one.
func consumer(namespace, name string) *appsv1.Deployment {
	pods := map[string]string{"app": name}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: pods},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: pods},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: name, Image: name}}},
			},
		},
	}
}

func change(t *testing.T, c client.Client, o client.Object, patch string) {
	t.Helper()
	if err := c.Patch(t.Context(), o, client.RawPatch("application/merge-patch+json", []byte(patch))); err != nil {
		t.Fatal(err)
	}
}

// await reads the object until it is as it should be.
func await(t *testing.T, c client.Client, o client.Object, what string, good func() bool) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s of %s", what, o.GetName()), func() bool {
		return c.Get(t.Context(), client.ObjectKeyFromObject(o), o) == nil && good()
	})
}

func gone(t *testing.T, c client.Client, o client.Object) {
	t.Helper()
	eventually(t, "the end of "+o.GetName(), func() bool {
		return apierrors.IsNotFound(c.Get(t.Context(), client.ObjectKeyFromObject(o), o))
	})
}

func eventually(t *testing.T, what string, good func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !good(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Errorf("waited 30 seconds in vain for the %s", what)
			return
		}
	}
}
