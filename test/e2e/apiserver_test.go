package e2e_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// kubectlWithToken returns a kubectl whose only credential is a token.
func (w *tenant) kubectlWithToken(text string) func(ctx context.Context, args ...string) (string, error) {
	w.Helper()
	bare := filepath.Join(w.TempDir(), "kubeconfig")
	w.must(os.WriteFile(bare, testCluster.AnonymousKubeconfig(), 0o600))
	return func(ctx context.Context, args ...string) (string, error) {
		args = append([]string{"--kubeconfig", bare, "--token", text, "-n", w.name}, args...)
		cmd := exec.CommandContext(ctx, filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl"), args...)
		cmd.Env = append(os.Environ(), "KUBECACHEDIR="+filepath.Dir(bare))
		said, err := cmd.CombinedOutput()
		return string(said), err
	}
}

func TestTokenReview_APIServerAcceptsTokenUntilRevoked(t *testing.T) { // [row 2]
	w := newSharedTenant(t)
	w.declareToken("indexer", `{roles: [primary]}`)
	w.waitReady("indexer")
	meta := metav1.ObjectMeta{Namespace: w.name, Name: "sees-pods"}
	w.must(admin.Create(t.Context(), &rbacv1.Role{
		ObjectMeta: meta, Rules: []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get", "list"}}},
	}))
	w.must(admin.Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: meta,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: meta.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: "apptoken:role:" + w.name + ":primary"}},
	}))
	kubectl := w.kubectlWithToken(w.tokenText("indexer"))

	who, err := kubectl(t.Context(), "auth", "whoami")
	if err != nil {
		t.Fatalf("%v: %s", err, who)
	}
	for _, want := range []string{"apptoken:" + w.name + ":indexer", "apptoken:client:" + w.name, "apptoken:role:" + w.name + ":primary", w.currentDigest("indexer").RecordName(), "system:authenticated"} {
		if !strings.Contains(who, want) {
			t.Errorf("whoami does not say %s:\n%s", want, who)
		}
	}
	// The API server has to observe the binding first.
	w.eventually("it may read pods", func(ctx context.Context) bool {
		said, err := kubectl(ctx, "get", "pods")
		return err == nil && strings.Contains(said, "No resources found")
	})
	for sentence, args := range map[string][]string{
		"Secrets":        {"get", "secrets"},
		"other tenants'": {"get", "pods", "-n", systemNamespace},
		"writing":        {"create", "configmap", "mine"},
	} {
		if said, err := kubectl(t.Context(), args...); err == nil || !strings.Contains(said, "orbidden") {
			t.Errorf("%s: %v %s", sentence, err, said)
		}
	}

	w.editToken("indexer", `{state: Revoked}`)
	began := time.Now()
	w.eventually("it is unauthenticated", func(ctx context.Context) bool {
		said, err := kubectl(ctx, "get", "pods")
		return err != nil && (strings.Contains(said, "Unauthorized") || strings.Contains(said, "must be logged in"))
	})
	t.Logf("the API server took it for %s after its revocation: it remembers for ten seconds, whatever the operator answers", time.Since(began).Round(time.Second))
}

// An API server does not pass on the address of its client.
func TestTokenReview_RejectsTokenWithSourceRanges(t *testing.T) {
	w := newSharedTenant(t)
	w.declareToken("indexer", `{roles: [primary], sourceRanges: ["127.0.0.0/8"]}`)
	w.waitReady("indexer")
	if said, err := w.kubectlWithToken(w.tokenText("indexer"))(t.Context(), "auth", "whoami"); err == nil {
		t.Errorf("it is taken for\n%s", said)
	}
}
