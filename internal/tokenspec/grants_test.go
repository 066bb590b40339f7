package tokenspec_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/tokenspec"
)

// refusalOf returns the message with which a spec is refused that asks client acme for roles. Acme
// grants the drawable roles to the namespace shop, and has the roles admin, developer and primary.
func refusalOf(t *testing.T, asked, drawable []v1alpha1.RoleName) string {
	t.Helper()
	c := &v1alpha1.Client{ObjectMeta: metav1.ObjectMeta{Name: "acme"}}
	for _, name := range []v1alpha1.RoleName{"admin", "developer", "primary"} {
		c.Spec.Roles = append(c.Spec.Roles, v1alpha1.Role{Name: name, Permissions: []v1alpha1.Permission{"search.query"}})
	}
	c.Spec.Grants = []v1alpha1.Grant{{Namespaces: v1alpha1.NamespaceSelection{Names: []string{"shop"}}, Roles: drawable}}
	at := &v1alpha1.ApplicationToken{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "indexer"}}
	at.Spec.ClientRef, at.Spec.Roles = &v1alpha1.Reference{Name: "acme"}, asked
	refused := tokenspec.Build(at, tokenspec.References{
		Requested: tokenspec.RequestedGrants{Client: "acme", Roles: tokenspec.SortedStrings(asked)}, Client: c,
	}).Refused
	if refused.Message == "" {
		t.Fatalf("the roles %v are granted", asked)
	}
	if refused.Reason != v1alpha1.ReasonOverCeiling {
		t.Errorf("the reason is %s", refused.Reason)
	}
	return refused.Message
}

func TestBuild_RefusalNamesGrantedRoles(t *testing.T) {
	for sentence, c := range map[string]struct {
		asked, drawable []v1alpha1.RoleName
		want            string
	}{
		"an unknown role":              {[]v1alpha1.RoleName{"emperor"}, []v1alpha1.RoleName{"primary", "developer"}, "does not grant emperor to namespace shop, only the roles developer, primary; remove it from the spec"},
		"a role of another namespace":  {[]v1alpha1.RoleName{"admin", "primary"}, []v1alpha1.RoleName{"primary"}, "does not grant admin to namespace shop, only the role primary; "},
		"where only a missing role is": {[]v1alpha1.RoleName{"admin"}, []v1alpha1.RoleName{"owner"}, "only roles that the client does not have; "},
	} {
		if got := refusalOf(t, c.asked, c.drawable); !strings.Contains(got, c.want) {
			t.Errorf("%s: the message is %q, want %q in it", sentence, got, c.want)
		}
	}
}

func TestBuild_RefusalHidesRolesOfOtherNamespaces(t *testing.T) {
	if got := refusalOf(t, []v1alpha1.RoleName{"emperor"}, []v1alpha1.RoleName{"primary"}); strings.Contains(got, "admin") || strings.Contains(got, "developer") {
		t.Errorf("a tenant learns roles that were not granted to it: %q", got)
	}
}
