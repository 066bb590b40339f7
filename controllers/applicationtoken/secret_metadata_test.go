package applicationtoken_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/testing/operatortest"
	"github.com/apptoken/operator/internal/tokenspec"
)

func TestSecretMetadata_KeysThatOthersActOnAreRefused(t *testing.T) {
	for key, value := range map[string]string{
		"app.kubernetes.io/managed-by":                       "Helm",
		"app.kubernetes.io/name":                             "shop",
		"kubernetes.io/service-account.name":                 "default",
		"kubectl.kubernetes.io/last-applied-configuration":   "{}",
		"k8s.io/cluster-autoscaler":                          "x",
		"ingress.k8s.io/x":                                   "x",
		"x-k8s.io/x":                                         "x",
		"propagate.hnc.x-k8s.io/treeSelect":                  "all",
		"apptoken.dev/managed":                               "false",
		"inner.apptoken.dev/x":                               "x",
		"argocd.argoproj.io/secret-type":                     "cluster",
		"ArgoCD.Argoproj.io/secret-type":                     "cluster",
		"argocd.example.com/secret-type":                     "cluster",
		"reflector.v1.k8s.emberstack.com/reflection-allowed": "true",
		"reflector.example.com/reflection-allowed":           "true",
		"replicator.v1.mittwald.de/replicate-to":             "*",
		"meta.helm.sh/release-name":                          "shop",
		"helm.sh/resource-policy":                            "keep",
		"kustomize.toolkit.fluxcd.io/name":                   "shop",
		"reconcile.fluxcd.io/requestedAt":                    "now",
		"cert-manager.io/inject-ca-from":                     "a/b",
		"konghq.com/credential":                              "key-auth",
		"skupper.io/type":                                    "token-claim",
		"jenkins.io/credentials-type":                        "secretText",
		"cnpg.io/reload":                                     "true",
		"tekton.dev/git-0":                                   "https://example.com",
		"objectset.rio.cattle.io/id":                         "x",
		"grafana_datasource":                                 "1",
		"owner":                                              "helm",
	} {
		if !tokenspec.IsReserved(key) && !tokenspec.IsActedOn(key, value) {
			t.Errorf("%s=%s may be set", key, value)
		}
	}
	for key, value := range map[string]string{
		"team": "search", "owner": "search", "app": "shop", "example.com/team": "search", "example.com/argocd.argoproj.io": "x",
		"notargoproj.io/x": "x", "argoproj.io.example.com/x": "x", "mykubernetes.io/x": "x", "notapptoken.dev/x": "x",
	} {
		if tokenspec.IsReserved(key) || tokenspec.IsActedOn(key, value) {
			t.Errorf("%s=%s is refused", key, value)
		}
	}
}

func TestSecretMetadata_ClientAllowsKeysAndDomainsExactly(t *testing.T) {
	allowed := []string{"argocd.argoproj.io/secret-type", "app.kubernetes.io/"}
	for key, want := range map[string]bool{
		"argocd.argoproj.io/secret-type":     true,
		"argocd.argoproj.io/secret-type-2":   false,
		"argocd.argoproj.io/sync-options":    false,
		"argoproj.io/secret-type":            false,
		"app.kubernetes.io/name":             true,
		"other.app.kubernetes.io/name":       false,
		"xapp.kubernetes.io/name":            false,
		"replicator.v1.mittwald.de/replicas": false,
	} {
		if got := tokenspec.IsAllowed(key, allowed); got != want {
			t.Errorf("%s is allowed: %t", key, got)
		}
	}
	for _, key := range []string{"kubernetes.io/x", "k8s.io/x", "apptoken.dev/managed", "a.apptoken.dev/x"} {
		if !tokenspec.IsReserved(key) {
			t.Errorf("a Client could allow %s", key)
		}
	}
}

// The Client's present permission counts: keys that were written under an earlier permission go
// with it.
func TestSecretMetadata_WithdrawnPermissionRemovesKeys(t *testing.T) {
	const label, annotation = "argocd.argoproj.io/secret-type", "app.kubernetes.io/part-of"
	w := newFixture(t)
	allow := func(keys ...string) {
		w.T.Helper()
		w.Must(w.EditClient(func(c *v1alpha1.Client) { c.Spec.Tokens.AllowedSecretMetadata = keys }))
	}
	allow(label, "app.kubernetes.io/")
	w.Must(w.DeclareToken())
	w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) {
		at.Spec.Secret.Labels = map[string]v1alpha1.LabelValue{label: "cluster", "example.com/team": "search"}
		at.Spec.Secret.Annotations = map[string]v1alpha1.AnnotationValue{annotation: "shop"}
	}))
	o := w.NewOperator(api, api)
	expect := func(when, reason string, there ...bool) {
		w.T.Helper()
		w.Must(o.Settle())
		w.Must(w.CheckInvariants())
		var s corev1.Secret
		w.Must(api.Get(w.Ctx, w.Key(), &s))
		_, hasLabel := s.Labels[label]
		_, hasAnnotation := s.Annotations[annotation]
		if got, message := operatortest.Readiness(w.Token()); got != reason || hasLabel != there[0] || hasAnnotation != there[1] {
			t.Errorf("%s: %s: %s; label %t, annotation %t", when, got, message, hasLabel, hasAnnotation)
		}
		if s.Labels["example.com/team"] != "search" {
			t.Errorf("%s: the other label is gone", when)
		}
	}
	expect("both are allowed", v1alpha1.ReasonIssued, true, true)
	allow("app.kubernetes.io/")
	expect("one is withdrawn", v1alpha1.ReasonInvalidSpec, false, true)
	if _, message := operatortest.Readiness(w.Token()); !strings.Contains(message, "spec.secret.labels") || !strings.Contains(message, label) || !strings.Contains(message, "allowedSecretMetadata") {
		t.Errorf("the message is %q", message)
	}
	allow(label, "app.kubernetes.io/")
	expect("both are allowed again", v1alpha1.ReasonIssued, true, true)
	w.Must(api.Delete(w.Ctx, w.TheClient()))
	expect("the Client is gone", v1alpha1.ReasonNamespaceNotGranted, true, true)
}

// config/policy denies the operator writes to a Secret without its labels and its controller, and a
// tenant may have removed them.
func TestSecretMetadata_RemovingKeysRestoresOwnership(t *testing.T) {
	const label = "argocd.argoproj.io/secret-type"
	w := newFixture(t)
	w.Must(w.declareLabelled(label))
	o := w.NewOperator(api, api)
	w.Must(o.Settle())
	var s corev1.Secret
	w.Must(api.Get(w.Ctx, w.Key(), &s))
	delete(s.Labels, v1alpha1.LabelToken)
	s.OwnerReferences = nil
	w.Must(api.Update(w.Ctx, &s))
	w.Must(w.EditClient(func(c *v1alpha1.Client) { c.Spec.Tokens.AllowedSecretMetadata = nil }))
	w.Must(o.Settle())
	w.Must(api.Get(w.Ctx, w.Key(), &s))
	if _, there := s.Labels[label]; there || s.Labels[v1alpha1.LabelToken] != w.Key().Name || !metav1.IsControlledBy(&s, w.Token()) {
		t.Errorf("labels %v, owners %v", s.Labels, s.OwnerReferences)
	}
}

// An admission webhook that rejects the write may quote the Secret. Its text is discarded, and the
// write is retried at growing intervals.
func TestSecretMetadata_RefusalOfRemovalIsNotQuoted(t *testing.T) {
	const label = "argocd.argoproj.io/secret-type"
	w := newFixture(t)
	w.Must(w.declareLabelled(label))
	refuses, asked := false, 0
	o := w.NewOperator(interceptor.NewClient(api, interceptor.Funcs{
		Update: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.UpdateOption) error {
			if s, is := obj.(*corev1.Secret); is && refuses {
				asked++
				return apierrors.NewForbidden(corev1.Resource("secrets"), s.Name, fmt.Errorf("refused: %s", s.Data))
			}
			return c.Update(ctx, obj, opts...)
		},
	}), api)
	w.Must(o.Settle())
	refuses = true
	w.Must(w.EditClient(func(c *v1alpha1.Client) { c.Spec.Tokens.AllowedSecretMetadata = nil }))
	for range 3 {
		w.Must(o.Pass())
	}
	if reason, message := operatortest.Readiness(w.Token()); reason != v1alpha1.ReasonSecretRefused || asked != 1 || strings.Contains(message, "refused: ") {
		t.Errorf("asked %d times: %s: %s", asked, reason, message)
	}
}

// declareLabelled declares a token whose Secret gets a label that the Client allows.
func (w *fixture) declareLabelled(label string) error {
	err := w.EditClient(func(c *v1alpha1.Client) { c.Spec.Tokens.AllowedSecretMetadata = []string{label} })
	return errors.Join(err, w.DeclareToken(), w.EditToken(func(at *v1alpha1.ApplicationToken) {
		at.Spec.Secret.Labels = map[string]v1alpha1.LabelValue{label: "cluster"}
	}))
}
