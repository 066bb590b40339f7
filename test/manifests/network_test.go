package manifests_test

import (
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// networkPolicies returns the policies of config/network, each of which selects the operator's
// pods.
func networkPolicies(t *testing.T) map[string]networkingv1.NetworkPolicySpec {
	t.Helper()
	pod := labels.Set(deployment(t).Spec.Template.Labels)
	all := map[string]networkingv1.NetworkPolicySpec{}
	for _, o := range parseObjects(t, render(t, "network")) {
		p, ok := o.(*networkingv1.NetworkPolicy)
		if !ok {
			t.Fatalf("%T is no NetworkPolicy", o)
		}
		selects, err := metav1.LabelSelectorAsSelector(&p.Spec.PodSelector)
		if err != nil {
			t.Fatal(err)
		}
		if p.Namespace != "apptoken-system" || !selects.Matches(pod) {
			t.Errorf("%s/%s does not select the operator", p.Namespace, p.Name)
		}
		all[strings.TrimPrefix(p.Name, "apptoken-operator-")] = p.Spec
	}
	return all
}

func TestNetwork_EachPortIsForItsClientsOnly(t *testing.T) {
	policies := networkPolicies(t)
	both := []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}
	if d := policies["default-deny"]; !slices.Equal(d.PolicyTypes, both) || len(d.Ingress)+len(d.Egress) > 0 {
		t.Errorf("what no policy allows is not denied: %v", d)
	}
	from := map[string][]string{} // who may connect, by port
	for _, p := range policies {
		for _, rule := range p.Ingress {
			if len(rule.From) == 0 || len(rule.Ports) == 0 {
				t.Errorf("a rule allows every client, or every port: %v", rule)
			}
			for _, port := range rule.Ports {
				for _, peer := range rule.From {
					from[port.Port.StrVal] = append(from[port.Port.StrVal], peerName(t, peer))
				}
			}
		}
	}
	want := map[string]string{
		"endpoints": "apptoken.dev/gateway=true", "ext-authz": "apptoken.dev/gateway=true",
		"metrics": "kubernetes.io/metadata.name=monitoring", "webhook": "192.0.2.0/24",
	}
	objects := parseObjects(t, render(t, "default"))
	c := managerContainer(t, findObject[*appsv1.Deployment](t, objects, "apptoken-system", "apptoken-operator"))
	for _, port := range c.Ports {
		if port.Name != "health" && !slices.Equal(from[port.Name], []string{want[port.Name]}) {
			t.Errorf("to the port %s may connect %v, want %s", port.Name, from[port.Name], want[port.Name])
		}
	}
	for name := range from {
		if !slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool { return p.Name == name }) {
			t.Errorf("there is no port %s", name)
		}
	}
}

func TestNetwork_OperatorReachesAPIServersOnly(t *testing.T) {
	for name, p := range networkPolicies(t) {
		for _, rule := range p.Egress {
			for _, peer := range rule.To {
				if name != "api-servers" || peerName(t, peer) != "192.0.2.0/24" {
					t.Errorf("%s lets the operator connect to %s", name, peerName(t, peer))
				}
			}
			if len(rule.To) == 0 || len(rule.Ports) != 2 || rule.Ports[0].Port.IntVal != 443 || rule.Ports[1].Port.IntVal != 6443 {
				t.Errorf("%s lets the operator connect everywhere, or to other ports: %v", name, rule)
			}
		}
	}
}

// peerName returns the name of a peer: the label selector of its namespace, or its address range.
func peerName(t *testing.T, peer networkingv1.NetworkPolicyPeer) string {
	t.Helper()
	if peer.IPBlock != nil {
		return peer.IPBlock.CIDR
	}
	if peer.NamespaceSelector == nil || peer.PodSelector != nil {
		t.Fatalf("a peer that is no namespace: %v", peer)
	}
	return metav1.FormatLabelSelector(peer.NamespaceSelector)
}
