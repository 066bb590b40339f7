package manifests_test

import (
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

func TestApply_DryRunPassesOnceNamespacesAndKindsExist(t *testing.T) {
	trackConfigFiles(t)
	_, k := emptyCluster(t)
	// A dry run creates nothing, so objects that need a namespace or a kind of the same folder
	// would not find it.
	k.run(t, "apply", "-f", configPath("manager/namespace.yaml"), "-f", configPath("samples/namespace.yaml"))
	k.apply(t, "crd")
	k.waitForKinds(t)
	for _, folder := range []string{"default", "namespaced", "samples", "network"} {
		t.Run(folder, func(t *testing.T) { k.apply(t, folder, "--dry-run=server") })
	}
	t.Run("an overlay with the component user-namespaces", func(t *testing.T) {
		k.apply(t, writeOverlay(t, `{resources: [config/default], components: [config/user-namespaces]}`), "--dry-run=server")
	})
}

func TestApply_OneCommandInstalls(t *testing.T) {
	trackConfigFiles(t)
	for mode, needs := range map[string]string{"default": "", "namespaced": "samples/namespace.yaml"} {
		t.Run(mode, func(t *testing.T) {
			c, k := emptyCluster(t)
			if needs != "" {
				k.run(t, "apply", "-f", configPath(needs))
			}
			k.apply(t, mode)

			// Git tools would apply a field again and again if the API server changed it.
			k.run(t, "diff", "-k", configPath(mode))

			cs, err := kubernetes.NewForConfig(c.Admin)
			if err != nil {
				t.Fatal(err)
			}
			t.Run("its pods are admitted", func(t *testing.T) { assertPodAdmitted(t, cs) })
			t.Run("it has the rights it needs and no others", func(t *testing.T) { assertRights(t, cs, mode) })
			t.Run("replacing it keeps the certificate", func(t *testing.T) { assertReplaceKeepsCertificate(t, cs, k, mode) })
			t.Run("the samples follow", func(t *testing.T) {
				k.waitForKinds(t)
				k.apply(t, "samples")
				k.run(t, "diff", "-k", configPath("samples"))
			})
		})
	}
}

// assertPodAdmitted creates a pod as a ReplicaSet would, as a dry run. The namespace enforces the
// restricted standard on pods only; a Deployment that violates it causes a warning at most.
func assertPodAdmitted(t *testing.T, cs *kubernetes.Clientset) {
	t.Helper()
	d := deployment(t)
	pod := &corev1.Pod{ObjectMeta: d.Spec.Template.ObjectMeta, Spec: d.Spec.Template.Spec}
	pod.GenerateName = d.Name + "-"
	_, err := cs.CoreV1().Pods(d.Namespace).Create(t.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		t.Error(err)
	}
}

// assertReplaceKeepsCertificate creates the Secret of the certificate as the operator does,
// replaces everything that was installed, and asserts that the Secret is kept.
func assertReplaceKeepsCertificate(t *testing.T, cs *kubernetes.Clientset, k kubectl, mode string) {
	t.Helper()
	secrets := cs.CoreV1().Secrets("apptoken-system")
	made := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "apptoken-operator-tls"}, Data: map[string][]byte{"ca.crt": []byte("a CA")}}
	if _, err := secrets.Create(t.Context(), made, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	k.run(t, "replace", "-k", configPath(mode))
	kept, err := secrets.Get(t.Context(), made.Name, metav1.GetOptions{})
	if err != nil || string(kept.Data["ca.crt"]) != "a CA" {
		t.Errorf("the Secret of the certificate holds %d files, want the CA: %v", len(kept.Data), err)
	}
}

// assertRights asserts what the API server allows the operator: the roles, the bindings and the
// account fit together.
func assertRights(t *testing.T, cs *kubernetes.Clientset, mode string) {
	t.Helper()
	const system, served, other, all = "apptoken-system", "shop", "kube-system", ""
	always := map[string]bool{"default": true, "namespaced": true}
	everywhere := map[string]bool{"default": true}
	never := map[string]bool{}

	for _, ask := range []struct {
		verb, group, resource, namespace string
		allowed                          map[string]bool
	}{
		{"watch", "apptoken.dev", "clients", all, always},
		{"update", "apptoken.dev", "clients/status", all, always},
		{"update", "apptoken.dev", "clients", all, never},
		{"watch", "apptoken.dev", "users", all, always},
		{"patch", "apptoken.dev", "users", all, always},
		{"update", "apptoken.dev", "users/status", all, always},
		{"delete", "apptoken.dev", "users", all, never},
		{"watch", "", "namespaces", all, always},

		{"create", "apptoken.dev", "tokenrecords", system, always},
		{"patch", "apptoken.dev", "tokenrecords", system, always},
		{"patch", "apptoken.dev", "tokenrecords/status", system, always},
		{"deletecollection", "apptoken.dev", "tokenrecords", system, never},
		{"get", "apptoken.dev", "tokenrecords", served, never},
		{"update", "coordination.k8s.io", "leases", system, always},
		{"update", "coordination.k8s.io", "leases", other, never},
		{"create", "", "events", system, always},
		{"patch", "", "events", system, always},
		{"create", "events.k8s.io", "events", metav1.NamespaceDefault, always},
		{"create", "events.k8s.io", "events", served, always},
		{"create", "events.k8s.io", "events", other, everywhere},

		{"patch", "apptoken.dev", "applicationtokens", served, always},
		{"update", "apptoken.dev", "applicationtokens/status", served, always},
		{"update", "apptoken.dev", "applicationtokens/finalizers", served, always},
		{"delete", "apptoken.dev", "applicationtokens", served, never},
		{"list", "apptoken.dev", "applicationtokens", all, everywhere},

		{"create", "", "secrets", served, always},
		{"delete", "", "secrets", served, always},
		{"patch", "", "secrets", served, never},
		{"get", "", "secrets", other, everywhere},
		{"list", "", "secrets", all, everywhere},

		{"patch", "apps", "deployments", served, always},
		{"patch", "apps", "daemonsets", other, everywhere},
		{"delete", "apps", "deployments", served, never},

		{"create", "authentication.k8s.io", "tokenreviews", all, always},
		{"create", "authorization.k8s.io", "subjectaccessreviews", all, always},
		{"delete", "admissionregistration.k8s.io", "validatingadmissionpolicies", all, never},
		{"update", "admissionregistration.k8s.io", "validatingadmissionpolicybindings", all, never},

		{"get", "", "pods", served, never},
		{"create", "", "serviceaccounts/token", served, never},
		{"create", "rbac.authorization.k8s.io", "rolebindings", served, never},
		{"impersonate", "", "users", all, never},
	} {
		resource, subresource, _ := strings.Cut(ask.resource, "/")
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User: "system:serviceaccount:apptoken-system:apptoken-operator",
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Verb: ask.verb, Group: ask.group, Resource: resource, Subresource: subresource, Namespace: ask.namespace,
			},
		}}
		review, err := cs.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), review, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if review.Status.Allowed != ask.allowed[mode] {
			t.Errorf("%s %s %q in namespace %q: allowed is %t, want %t",
				ask.verb, ask.resource, ask.group, ask.namespace, review.Status.Allowed, ask.allowed[mode])
		}
	}
}
