package tokenspec

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/apptoken/operator/api/v1alpha1"
)

// Keys of labels and annotations that spec.secret must not set. Otherwise a tenant who can declare
// a token, but cannot write Secrets, could make another controller act with that controller's
// permissions. It could register a cluster with Argo CD, copy the Secret into other namespaces, or
// have Helm delete it.
var (
	// OperatorDomain and kubernetesDomains give meaning to a Secret itself. No Client can allow
	// them.
	OperatorDomain    = "apptoken.dev"
	kubernetesDomains = []string{"kubernetes.io", "k8s.io"}

	// controllerDomains belong to controllers that act on Secrets or on any object, each with every
	// domain below it. kubernetes.io and k8s.io are listed for the domains below them, such as
	// app.kubernetes.io.
	controllerDomains = []string{
		"1password.com", "1password.io", "admiralty.io", "akuity.io", "amazonaws.com", "appscode.com", "argoproj.io", "azure.com",
		"backube.dev", "bank-vaults.dev", "banzaicloud.io", "bitnami.com", "cattle.io", "cert-manager.io", "cilium.io", "clastix.io",
		"cloud.google.com", "cnpg.io", "coreos.com", "crossplane.io", "crunchydata.com", "doppler.com", "elastic.co", "emberstack.com",
		"external-secrets.io", "fluxcd.io", "gatekeeper.sh", "getambassador.io", "grafana.com", "harness.io", "hashicorp.com", "helm.sh",
		"infisical.com", "istio.io", "jenkins.io", "jetstack.io", "k14s.io", "carvel.dev", "k8s.aws", "k8s.io", "karmada.io", "kasten.io",
		"kluctl.io", "knative.dev", "konghq.com", "kubernetes.io", "kubevirt.io", "kyverno.io", "libopenstorage.org", "linkerd.io",
		"loft.sh", "longhorn.io", "mittwald.de", "mongodb.com", "nginx.org", "oam.dev", "open-cluster-management.io", "openshift.io",
		"percona.com", "portworx.io", "projectcapsule.dev", "projectcontour.io", "prometheus.io", "pulumi.com", "pusher.com", "rook.io",
		"skupper.io", "solo.io", "spiffe.io", "spinnaker.io", "stakater.com", "strimzi.io", "submariner.io", "tekton.dev",
		"terraform.io", "tigera.io", "projectcalico.org", "traefik.io", "velero.io", "x-k8s.io", "zalan.do", "zalando.org",
	}

	// controllerPrefixes begin the domains of controllers that run under several domains.
	controllerPrefixes = []string{"argocd.", "backup.", "reflector.", "reloader.", "replicator.", "sealedsecrets.", "secretgenerator.", "vault."}

	// controllerKeys have no domain: a sidecar of Grafana loads every Secret with such a label.
	controllerKeys = []string{"grafana_alert", "grafana_dashboard", "grafana_datasource", "grafana_notifier", "grafana_plugin"}
)

// IsReserved reports whether no Client can allow the key.
func IsReserved(key string) bool {
	domain := DomainOf(key)
	return slices.Contains(kubernetesDomains, domain) || IsWithin(domain, OperatorDomain)
}

// IsActedOn reports whether another controller acts on a label or annotation of the key and value.
func IsActedOn(key, value string) bool {
	domain := DomainOf(key)
	if domain == "" {
		// Helm takes every Secret with owner=helm for a release of its own.
		return slices.Contains(controllerKeys, strings.ToLower(key)) || key == "owner" && value == "helm"
	}
	return slices.ContainsFunc(controllerDomains, func(d string) bool { return IsWithin(domain, d) }) ||
		slices.ContainsFunc(controllerPrefixes, func(p string) bool { return strings.HasPrefix(domain, p) })
}

// IsAllowed reports whether a list of keys, and of domains that end in a slash, includes the key.
func IsAllowed(key string, allowed []string) bool {
	return slices.ContainsFunc(allowed, func(a string) bool {
		return key == a || strings.HasSuffix(a, "/") && strings.EqualFold(DomainOf(key), DomainOf(a))
	})
}

// DomainOf returns the part of a key before the slash in lower case; empty: there is none. The API
// server compares the domains of annotations without case, and so may the controllers that read
// them.
func DomainOf(key string) string {
	domain, _, found := strings.Cut(key, "/")
	if !found {
		return ""
	}
	return strings.ToLower(domain)
}

// IsWithin reports whether a domain is parent or one of its subdomains.
func IsWithin(domain, parent string) bool {
	return domain == parent || strings.HasSuffix(domain, "."+parent)
}

// checkMetadata refuses labels and annotations that a Secret cannot have or must not have. It
// removes the latter from w.
func (w *secretTemplate) checkMetadata(c *v1alpha1.Client, refuse refuseFunc) {
	for _, key := range slices.Sorted(maps.Keys(w.labels)) {
		if len(validation.IsQualifiedName(key)) > 0 || len(validation.IsValidLabelValue(w.labels[key])) > 0 {
			refuse(v1alpha1.ReasonInvalidSpec, "spec.secret.labels: %q: %q is not a label; keys look like example.com/team, values are letters, digits, -, _ and .", key, w.labels[key])
		}
	}
	for _, key := range slices.Sorted(maps.Keys(w.annotations)) {
		if len(validation.IsQualifiedName(strings.ToLower(key))) > 0 {
			refuse(v1alpha1.ReasonInvalidSpec, "spec.secret.annotations: %q is not a key of an annotation; keys look like example.com/team", key)
		}
	}
	w.refuseKeys("labels", w.labels, c, refuse)
	w.refuseKeys("annotations", w.annotations, c, refuse)
}

func (w *secretTemplate) refuseKeys(field string, set map[string]string, c *v1alpha1.Client, refuse refuseFunc) {
	var allowed []string
	remedy := "remove it"
	if c != nil {
		allowed = c.Spec.Tokens.AllowedSecretMetadata
		remedy = fmt.Sprintf("remove it, or ask the platform team to add the key to spec.tokens.allowedSecretMetadata of client %s", c.Name)
	}
	for _, key := range slices.Sorted(maps.Keys(set)) {
		switch {
		case IsReserved(key):
			refuse(v1alpha1.ReasonInvalidSpec, "spec.secret.%s: key %q is reserved; remove it", field, key)
		case IsActedOn(key, set[key]) && !IsAllowed(key, allowed):
			refuse(v1alpha1.ReasonInvalidSpec, "spec.secret.%s: other controllers act on key %q; %s", field, key, remedy)
		default:
			continue
		}
		delete(set, key)
		if c != nil || IsReserved(key) { // the keys that a missing Client allows are unknown
			w.RefusedKeys = append(w.RefusedKeys, passedOnEntry(field, key))
		}
	}
}

// passedOnEntry returns the form in which the annotation annotationPassedOn lists a key of labels,
// annotations or data.
func passedOnEntry(field, key string) string { return strings.TrimSuffix(field, "s") + ":" + key }

// RemovePassedOn removes a label or annotation that annotationPassedOn lists.
func RemovePassedOn(secret *corev1.Secret, passed string) {
	switch field, key, _ := strings.Cut(passed, ":"); field {
	case "label":
		delete(secret.Labels, key)
	case "annotation":
		delete(secret.Annotations, key)
	}
}

// SetPassedOn writes the annotation annotationPassedOn, or removes it if nothing was passed.
func SetPassedOn(secret *corev1.Secret, passed []string) {
	if delete(secret.Annotations, AnnotationPassedOn); len(passed) > 0 {
		secret.Annotations[AnnotationPassedOn] = strings.Join(passed, " ")
	}
}
