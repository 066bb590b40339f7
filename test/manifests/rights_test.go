package manifests_test

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
)

// rights holds verbs, in alphabetical order, keyed by API group and resource, and by names if they
// are limited to these.
type rights map[string]string

// The complete rights of the operator. A change that adds to them states in config/rbac what they
// are for.
var (
	// On objects that have no namespace.
	clusterRights = rights{
		"apptoken.dev/clients":                      "get list watch",
		"apptoken.dev/clients/status":               "update",
		"apptoken.dev/users":                        "get list patch watch",
		"apptoken.dev/users/status":                 "update",
		"/namespaces":                               "get list watch",
		"authentication.k8s.io/tokenreviews":        "create",
		"authorization.k8s.io/subjectaccessreviews": "create",
	}
	// In a namespace that the operator serves.
	servedNamespaceRights = rights{
		"apptoken.dev/applicationtokens":            "get list patch watch",
		"apptoken.dev/applicationtokens/status":     "update",
		"apptoken.dev/applicationtokens/finalizers": "update",
		"/secrets":             "create delete get list update watch",
		"apps/deployments":     "get patch",
		"apps/statefulsets":    "get patch",
		"apps/daemonsets":      "get patch",
		"events.k8s.io/events": "create patch",
	}
	// In the operator's own namespace.
	ownNamespaceRights = rights{
		"apptoken.dev/applicationtokens":        "create delete get list patch watch",
		"apptoken.dev/applicationtokens/status": "update",
		"apptoken.dev/tokenrecords":             "create delete get list patch watch",
		"apptoken.dev/tokenrecords/status":      "patch",
		"/secrets":                              "create list watch",
		"/secrets apptoken-operator-tls":        "update",
		"coordination.k8s.io/leases":            "create get update",
		"events.k8s.io/events":                  "create patch",
		"/events":                               "create patch",
	}
	// In the namespace default, where Kubernetes keeps events about Clients and Users.
	defaultNamespaceRights = rights{"events.k8s.io/events": "create patch"}
)

func TestRights_AreExactlyThese(t *testing.T) {
	const everywhere = ""
	for mode, want := range map[string]map[string]rights{
		"default":    {everywhere: union(clusterRights, servedNamespaceRights), "apptoken-system": ownNamespaceRights},
		"namespaced": {everywhere: clusterRights, "shop": servedNamespaceRights, "default": defaultNamespaceRights, "apptoken-system": ownNamespaceRights},
	} {
		t.Run(mode, func(t *testing.T) {
			got := boundRights(t, parseObjects(t, render(t, mode)))
			for where := range union(got, want) {
				for resource := range union(got[where], want[where]) {
					if got, want := got[where][resource], want[where][resource]; got != want {
						t.Errorf("in namespace %q: %s: got %q, want %q", where, resource, got, want)
					}
				}
			}
		})
	}
}

func TestRights_TenantsGetApplicationTokensOnly(t *testing.T) {
	objects := parseObjects(t, render(t, "default"))
	for name, want := range map[string]struct {
		label  string
		rights rights
	}{
		"apptoken-viewer": {"view", rights{"apptoken.dev/applicationtokens": "get list watch"}},
		"apptoken-editor": {"edit", rights{"apptoken.dev/applicationtokens": "create delete deletecollection patch update"}},
	} {
		role := findObject[*rbacv1.ClusterRole](t, objects, "", name)
		got := rights{}
		got.add(role.Rules)
		if !maps.Equal(got, want.rights) {
			t.Errorf("%s: got %v, want %v", name, got, want.rights)
		}
		if role.Labels["rbac.authorization.k8s.io/aggregate-to-"+want.label] != "true" {
			t.Errorf("%s does not add to the role %s", name, want.label)
		}
	}
}

func TestRights_NoWildcardOrEscalation(t *testing.T) {
	for _, mode := range []string{"default", "namespaced"} {
		for _, o := range parseObjects(t, render(t, mode)) {
			var rules []rbacv1.PolicyRule
			switch o := o.(type) {
			case *rbacv1.ClusterRole:
				rules = o.Rules
			case *rbacv1.Role:
				rules = o.Rules
			}
			for _, rule := range rules {
				words := slices.Concat(rule.APIGroups, rule.Resources, rule.Verbs)
				for _, bad := range []string{"*", "escalate", "bind", "impersonate", "rbac.authorization.k8s.io"} {
					if slices.Contains(words, bad) {
						t.Errorf("%s: %s has %s in %v", mode, o.GetName(), bad, rule)
					}
				}
			}
		}
	}
}

// boundRights returns the rights that bindings give to the operator's account, by namespace; "" is
// every namespace. It fails the test if another account is bound.
func boundRights(t *testing.T, objects []object) map[string]rights {
	t.Helper()
	all := map[string]rights{}
	give := func(where string, to []rbacv1.Subject, rules []rbacv1.PolicyRule) {
		if len(to) != 1 || to[0] != (rbacv1.Subject{Kind: "ServiceAccount", Name: "apptoken-operator", Namespace: "apptoken-system"}) {
			t.Errorf("rights in namespace %q go to %v", where, to)
		}
		if all[where] == nil {
			all[where] = rights{}
		}
		all[where].add(rules)
	}
	for _, o := range objects {
		switch b := o.(type) {
		case *rbacv1.ClusterRoleBinding:
			give("", b.Subjects, findObject[*rbacv1.ClusterRole](t, objects, "", b.RoleRef.Name).Rules)
		case *rbacv1.RoleBinding:
			give(b.Namespace, b.Subjects, findObject[*rbacv1.Role](t, objects, b.Namespace, b.RoleRef.Name).Rules)
		}
	}
	return all
}

// The role is for the service account that an installation uses for monitoring.
func TestMetrics_ReaderRoleGetsMetricsAlone(t *testing.T) {
	for _, mode := range []string{"default", "namespaced"} {
		role := findObject[*rbacv1.ClusterRole](t, parseObjects(t, render(t, mode)), "", "apptoken-metrics-reader")
		if want := []rbacv1.PolicyRule{{Verbs: []string{"get"}, NonResourceURLs: []string{"/metrics"}}}; !reflect.DeepEqual(role.Rules, want) {
			t.Errorf("%s: got %v, want %v", mode, role.Rules, want)
		}
	}
}

func (r rights) add(rules []rbacv1.PolicyRule) {
	for _, rule := range rules {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				what := strings.Join(append([]string{group + "/" + resource}, rule.ResourceNames...), " ")
				verbs := append(strings.Fields(r[what]), rule.Verbs...)
				slices.Sort(verbs)
				r[what] = strings.Join(slices.Compact(verbs), " ")
			}
		}
	}
}

func union[M ~map[string]V, V any](a, b M) M {
	all := maps.Clone(a)
	if all == nil {
		all = M{}
	}
	maps.Copy(all, b)
	return all
}
