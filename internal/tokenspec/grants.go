package tokenspec

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/grant"
	"github.com/apptoken/operator/internal/plan"
)

// clientGrants cuts the requested grants down to what the client grants to the namespace. It
// reports whether the client grants anything.
func clientGrants(at *v1alpha1.ApplicationToken, refs References, refuse refuseFunc) (g *plan.Grants, entitled bool) {
	if refs.DeliveredInResponse {
		return responseGrants(refs, refuse), true
	}
	drawable, granted := DrawableRoles(refs.Client, at.Namespace, refs.namespaceLabels)
	within := Ceiling(refs.Client).Restrict(drawable)
	held := within.Cut(refs.Requested.Roles, refs.Requested.Permissions)
	if granted && held.Over() {
		where := "the spec"
		if at.Spec.CloneFrom != nil {
			where = "the spec of the token that is cloned"
		}
		refuse(v1alpha1.ReasonOverCeiling, "Client %s does not grant %s to namespace %s, only %s; remove it from %s, or ask the client's platform team to grant it",
			refs.Client.Name, JoinFirst(append(slices.Clone(held.OverRoles), held.OverPermissions...)), at.Namespace, describeRoles(within.Cut(drawable, nil).Roles), where)
	}
	return &plan.Grants{
		Client:       refs.Client.Name,
		Roles:        held.Roles,
		Permissions:  held.Permissions,
		SourceRanges: refs.Requested.SourceRanges,
	}, granted
}

// describeRoles names the roles that a namespace may draw.
func describeRoles(roles []string) string {
	switch len(roles) {
	case 0:
		return "roles that the client does not have"
	case 1:
		return "the role " + roles[0]
	}
	return "the roles " + JoinFirst(roles)
}

// Ceiling returns the most that a token of a client may hold.
func Ceiling(c *v1alpha1.Client) grant.Ceiling {
	roles := make([]grant.Role, len(c.Spec.Roles))
	for i, r := range c.Spec.Roles {
		roles[i] = grant.Role{Name: string(r.Name), Permissions: SortedStrings(r.Permissions)}
	}
	return grant.NewCeiling(roles)
}

// DrawableRoles returns the roles that a namespace may draw from a client, and reports whether it
// may draw any.
func DrawableRoles(c *v1alpha1.Client, namespace string, nsLabels map[string]string) (roles []string, granted bool) {
	for _, g := range c.Spec.Grants {
		if selectsNamespace(g.Namespaces, namespace, nsLabels) {
			granted = true
			roles = append(roles, SortedStrings(g.Roles)...)
		}
	}
	return roles, granted
}

// selectsNamespace reports whether a selection includes a namespace. Unknown labels are nil, and no
// selector matches them: a selector for labels that must be absent would match everything.
func selectsNamespace(s v1alpha1.NamespaceSelection, namespace string, nsLabels map[string]string) bool {
	if s.Selector == nil {
		return slices.Contains(s.Names, namespace)
	}
	selector, err := metav1.LabelSelectorAsSelector(s.Selector)
	return nsLabels != nil && err == nil && selector.Matches(labels.Set(nsLabels)) // an invalid selector selects nothing
}

// checkTokenPolicy checks the token against what its client requires of every token.
func checkTokenPolicy(at *v1alpha1.ApplicationToken, refs References, refuse refuseFunc) {
	p := refs.Client.Spec.Tokens
	lifetime, limit := DurationOr(at.Spec.Lifetime, 0), DurationOr(p.MaxLifetime, 0)
	rotates := at.Spec.Rotation.Every != "" || at.Spec.Rotation.Schedule != ""
	switch {
	case limit > 0 && lifetime > limit:
		refuse(v1alpha1.ReasonLifetimeTooLong, "Client %s allows a lifetime of at most %s; shorten spec.lifetime", refs.Client.Name, p.MaxLifetime)
	case lifetime == 0 && p.NonExpiring == v1alpha1.NonExpiringForbid:
		refuse(v1alpha1.ReasonNonExpiringForbidden, "Client %s requires every token to expire; set spec.lifetime", refs.Client.Name)
	case lifetime == 0 && p.NonExpiring == v1alpha1.NonExpiringWithRotation && !rotates:
		refuse(v1alpha1.ReasonNonExpiringForbidden, "Client %s requires every token to expire or to rotate; set spec.lifetime, spec.rotation.every or spec.rotation.schedule", refs.Client.Name)
	}
	if refs.QuotaRefusal != nil {
		refuse(refs.QuotaRefusal.Reason, "%s", refs.QuotaRefusal.Message)
	}
}
