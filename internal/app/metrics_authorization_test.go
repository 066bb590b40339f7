package app_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/internal/app"
)

func TestMetrics_NeedsAuthorization(t *testing.T) {
	o := defaultOptions()
	o.Namespace, o.MetricsAddress, o.HealthAddress = metav1.NamespaceDefault, ":0", "0"
	ctx, end := context.WithCancel(t.Context())
	op, err := app.NewOperator(ctx, testCluster.Admin, o)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- op.Manager.Start(ctx) }()
	defer func() {
		end()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	for sentence, c := range map[string]struct {
		scheme, credential string
		want               int
	}{
		"in the clear":                  {"http", "", http.StatusBadRequest},
		"without a credential":          {"https", "", http.StatusUnauthorized},
		"with one that is none":         {"https", "Bearer nonsense", http.StatusInternalServerError},
		"with another kind":             {"https", "Basic bm9ib2R5OnNlY3JldA==", http.StatusUnauthorized},
		"with one that lacks the right": {"https", "Bearer " + accountToken(t, "bystander", false), http.StatusForbidden},
		"with one that has the right":   {"https", "Bearer " + accountToken(t, "prometheus", true), http.StatusOK},
	} {
		status, body := fetchMetrics(t, c.scheme+fmt.Sprintf("://127.0.0.1:%d", netip.MustParseAddrPort(op.MetricsAddr.String()).Port()), c.credential)
		if status != c.want || strings.Contains(body, "apptoken_") != (c.want == http.StatusOK) {
			t.Errorf("%s: /metrics answers %d, want %d", sentence, status, c.want)
		}
	}
}

func fetchMetrics(t *testing.T, url, credential string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	if credential != "" {
		r.Header.Set("Authorization", credential)
	}
	answer, err := insecureClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// insecureClient accepts the certificate that an operator without one creates for itself.
var insecureClient = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}

// accountToken returns the credential of a new service account. allowed grants it the right to get
// /metrics.
func accountToken(t *testing.T, name string, allowed bool) string {
	t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: name}}
	made := []client.Object{account}
	if allowed {
		made = append(made,
			&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: []rbacv1.PolicyRule{{Verbs: []string{"get"}, NonResourceURLs: []string{"/metrics"}}}},
			&rbacv1.ClusterRoleBinding{
				ObjectMeta: metav1.ObjectMeta{Name: name},
				RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
				Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: account.Namespace, Name: name}},
			})
	}
	for _, o := range made {
		if err := api.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			// The test's own context is over by now.
			if err := api.Delete(context.Background(), o); err != nil {
				t.Error(err)
			}
		})
	}
	var of authenticationv1.TokenRequest
	if err := api.SubResource("token").Create(t.Context(), account, &of); err != nil {
		t.Fatal(err)
	}
	return of.Status.Token
}
