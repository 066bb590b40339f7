package e2e_test

import (
	"context"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apptoken/operator/api/v1alpha1"
)

func TestNamespaces_RequestsStayWithinServedNamespaces(t *testing.T) { // [3.10] [row 26]
	apply := func(args ...string) {
		t.Helper()
		if said, err := kubectl(t.Context(), args...); err != nil {
			t.Fatalf("kubectl %v: %v\n%s", args, err, said)
		}
	}
	// The rights of config/namespaced, for the namespace shop, replace those of the default mode.
	shop := &tenant{T: t, name: "shop"}
	shop.must(admin.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}))
	narrow := []string{"-f", configPath("namespaced/cluster-role.yaml"), "-f", configPath("namespaced/events.yaml"), "-f", configPath("namespaced/shop.yaml")}
	apply("delete", "-k", configPath("rbac/cluster"))
	apply(append([]string{"apply"}, narrow...)...)
	t.Cleanup(func() {
		for _, args := range [][]string{append([]string{"delete"}, narrow...), {"apply", "-k", configPath("rbac/cluster")}} {
			if said, err := kubectl(context.Background(), args...); err != nil {
				t.Errorf("kubectl %v: %v\n%s", args, err, said)
			}
		}
		shop.T = t
		waitAllowed(shop, "secrets", "", true)
	})
	waitAllowed(shop, "secrets", "", false)
	waitAllowed(shop, "secrets", "shop", true)

	mark := sentRequests.mark()
	o := defaultOptions()
	o.Namespaces = []string{"shop"}
	shop.op = startOperator(t, o)
	// A client for both namespaces, and a namespace that is not served.
	other := newTenant(t, shop.op)
	other.editClient(`{grants: [{namespaces: {names: [shop, ` + other.name + `]}, roles: [primary]}], accountID: 7}`)
	other.declareToken("ignored", `{}`)
	shop.createWorkload("Deployment", "reader")
	shop.declareToken("indexer", `{clientRef: {name: `+other.name+`}, rotation: {trigger: a}, restart: [{kind: Deployment, name: reader}]}`)
	d := shop.currentDigest("indexer")
	shop.editToken("indexer", `{rotation: {trigger: b}}`)
	shop.waitVersion("indexer", 2)
	shop.waitEvent("indexer", "Normal Rotated")
	other.editClient(`{state: Suspended}`)
	shop.waitUntil("indexer", "follows its client", hasReason(v1alpha1.ReasonClientSuspended))
	other.editClient(`{state: Active}`)
	shop.waitReady("indexer")
	shop.waitAccepted("the first version", d, true)
	shop.must(admin.Delete(t.Context(), shop.manifest("indexer", `{}`)))
	shop.waitGone("indexer", d)

	var ignored v1alpha1.ApplicationToken
	if other.get("ignored", &ignored); len(ignored.Status.Conditions) > 0 || len(ignored.Finalizers) > 0 {
		t.Errorf("a token of a namespace that is not served has the status %v", ignored.Status)
	}
	for _, r := range sentRequests.since(mark, func(request) bool { return true }) {
		tenants := strings.HasPrefix(r.resource, "secrets") || strings.HasPrefix(r.resource, "applicationtokens") || r.group == "apps"
		reads := r.verb == "get" || r.verb == "list" || r.verb == "watch"
		// Passwords, and tokens that are created over HTTP.
		own := r.namespace == systemNamespace && reads && r.group != "apps"
		if r.isRejected || tenants && r.namespace != "shop" && !own {
			t.Errorf("the operator went further than its rights: %v", r)
		}
	}
	shop.must(shop.op.stop())
	shop.must(admin.Delete(t.Context(), other.manifest("ignored", `{}`)))
}

// waitAllowed waits until the API server allows the operator to list a resource, or does not.
func waitAllowed(w *tenant, resource, namespace string, want bool) {
	w.Helper()
	for deadline := 0; deadline < 1000; deadline++ {
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User:               operatorConfig().Impersonate.UserName,
			ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: "list", Resource: resource, Namespace: namespace},
		}}
		if err := admin.Create(context.Background(), review); err != nil {
			w.Fatal(err)
		}
		if review.Status.Allowed == want {
			return
		}
	}
	w.Errorf("the operator may list %s in %q: not %t", resource, namespace, want)
}
