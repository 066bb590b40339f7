package e2e_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestTokenReview_APIServerAcceptsLoginUntilUserSuspended(t *testing.T) { // [row 2]
	w := newSharedTenant(t)
	p := w.newUser("alice")
	login := p.logIn()
	meta := metav1.ObjectMeta{Namespace: w.name, Name: "sees-pods"}
	w.must(admin.Create(t.Context(), &rbacv1.Role{
		ObjectMeta: meta, Rules: []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get", "list"}}},
	}))
	w.must(admin.Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: meta,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: meta.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "apptoken:" + p.user}},
	}))
	kubectl := w.kubectlWithToken(login.Token)
	who, err := kubectl(t.Context(), "auth", "whoami")
	if err != nil {
		t.Fatalf("%v: %s", err, who)
	}
	for _, want := range []string{"apptoken:" + p.user, "apptoken:client:" + w.name, "apptoken:role:" + w.name + ":primary", "apptoken.dev/user", "system:authenticated"} {
		if !strings.Contains(who, want) {
			t.Errorf("whoami does not say %s:\n%s", want, who)
		}
	}
	// The API server has to observe the binding first.
	w.eventually("she may read pods", func(ctx context.Context) bool {
		said, err := kubectl(ctx, "get", "pods")
		return err == nil && strings.Contains(said, "No resources found")
	})
	if said, err := kubectl(t.Context(), "get", "secrets"); err == nil || !strings.Contains(said, "orbidden") {
		t.Errorf("she reads Secrets: %v %s", err, said)
	}
	session := p.mustRequest(http.MethodGet, "/security/rest/token/access/session/60", p.basicAuth(), nil)
	if said, err := w.kubectlWithToken(session.AccessToken)(t.Context(), "auth", "whoami"); err == nil {
		t.Errorf("a session token, whose session ID was not presented, is taken for\n%s", said)
	}

	p.editUser(`{state: Suspended}`)
	w.eventually("she is unauthenticated", func(ctx context.Context) bool {
		said, err := kubectl(ctx, "get", "pods")
		return err != nil && (strings.Contains(said, "Unauthorized") || strings.Contains(said, "must be logged in"))
	})
}
