package e2e_test

import (
	"context"
	"fmt"
	"maps"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// unusedRights holds the rights that no request of this run needs by itself, and the reason for
// each.
var unusedRights = map[accessRight]string{
	{"update", "apptoken.dev", "applicationtokens/finalizers"}: "the API server asks for it where an owner reference blocks deletion (OwnerReferencesPermissionEnforcement)",
	{"patch", "events.k8s.io", "events"}:                       "two events of one reason about one state of an object become a series",
}

// checkRights compares the rights that config/rbac grants with those that the operators have used.
func checkRights(ctx context.Context) ([]string, error) {
	granted, err := grantedRights(ctx)
	if err != nil {
		return nil, err
	}
	used := map[accessRight]bool{}
	var problems []string
	for _, r := range sentRequests.since(0, func(request) bool { return true }) {
		need := accessRight{r.verb, r.group, r.resource}
		if r.isRejected {
			problems = append(problems, fmt.Sprintf("refused: %s %s/%s %s/%s", r.verb, r.group, r.resource, r.namespace, r.name))
		}
		used[need] = true
		if r.isInitialList { // an API server that does not stream lists receives a list request
			used[accessRight{"list", r.group, r.resource}] = true
		}
	}
	for need := range used {
		if !granted[need] {
			problems = append(problems, fmt.Sprintf("used, but not granted: %v", need))
		}
	}
	for may := range granted {
		if _, known := unusedRights[may]; !used[may] && !known {
			problems = append(problems, fmt.Sprintf("granted, but never used: %v", may))
		}
	}
	for may := range unusedRights {
		if !granted[may] || used[may] {
			problems = append(problems, fmt.Sprintf("%v is no exception any more", may))
		}
	}
	slices.Sort(problems)
	return slices.Compact(problems), nil
}

// grantedRights returns the rights that the roles of config/rbac grant, in any namespace.
func grantedRights(ctx context.Context) (map[accessRight]bool, error) {
	var rules []rbacv1.PolicyRule
	for _, name := range []string{"apptoken-operator", "apptoken-operator-metrics"} {
		var everywhere rbacv1.ClusterRole
		if err := admin.Get(ctx, client.ObjectKey{Name: name}, &everywhere); err != nil {
			return nil, err
		}
		rules = append(rules, everywhere.Rules...)
	}
	var own rbacv1.RoleList
	if err := admin.List(ctx, &own, client.InNamespace(systemNamespace)); err != nil {
		return nil, err
	}
	for _, role := range own.Items {
		rules = append(rules, role.Rules...)
	}
	granted := map[accessRight]bool{}
	for _, rule := range rules {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					granted[accessRight{verb, group, resource}] = true
				}
			}
		}
	}
	if len(granted) == 0 {
		return nil, fmt.Errorf("config/rbac grants nothing: %v", slices.Collect(maps.Keys(granted)))
	}
	return granted, nil
}
