package metrics_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/app"
)

// slowGatherer reports each scrape that begins, and blocks it until it is released.
type slowGatherer struct{ begun, release chan struct{} }

func (g slowGatherer) Gather() ([]*dto.MetricFamily, error) {
	g.begun <- struct{}{}
	<-g.release
	return nil, nil
}

// scrapeStatus returns the status of a scrape from an address.
func scrapeStatus(h http.Handler, from string) int {
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.RemoteAddr = from
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, r)
	return answer.Code
}

func TestMetrics_AtMostTwoScrapes(t *testing.T) {
	g := slowGatherer{make(chan struct{}), make(chan struct{})}
	h := app.NewRequestLimiter(app.NewScrapeHandler(g), time.Now)
	ended := make(chan int)
	for range app.MaxScrapes {
		go func() { ended <- scrapeStatus(h, "192.0.2.1:1") }()
		<-g.begun
	}
	if status := scrapeStatus(h, "192.0.2.2:1"); app.MaxScrapes != 2 || status != http.StatusServiceUnavailable {
		t.Errorf("the scrape after %d answers %d", app.MaxScrapes, status)
	}
	close(g.release)
	for range app.MaxScrapes {
		if status := <-ended; status != http.StatusOK {
			t.Errorf("a scrape that was begun answers %d", status)
		}
	}
	go func() { <-g.begun }()
	if status := scrapeStatus(h, "192.0.2.2:1"); status != http.StatusOK {
		t.Errorf("a scrape afterwards answers %d", status)
	}
}

func TestMetrics_BoundsRequestsInFlight(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	h := app.NewRequestLimiter(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		begun <- struct{}{}
		<-release
	}), time.Now)
	ended := make(chan int)
	for i := range app.MaxMetricsRequests {
		go func() { ended <- scrapeStatus(h, fmt.Sprintf("192.0.2.%d:1", i+1)) }()
		<-begun
	}
	if status := scrapeStatus(h, "198.51.100.1:1"); status != http.StatusServiceUnavailable {
		t.Errorf("one request more answers %d", status)
	}
	close(release)
	for range app.MaxMetricsRequests {
		<-ended
	}
}

func TestMetrics_FloodFromOneSourceSparesOthers(t *testing.T) {
	asked := 0
	h := app.NewRequestLimiter(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }), func() time.Time { return noon })
	for i := range 10_000 {
		scrapeStatus(h, fmt.Sprintf("[2001:db8::%x]:%d", i, i+1)) // all of one /64
	}
	if asked != app.MetricsSourceBurst {
		t.Errorf("of a flood, %d requests came through, want %d", asked, app.MetricsSourceBurst)
	}
	if status := scrapeStatus(h, "[2001:db8::1]:1"); status != http.StatusTooManyRequests {
		t.Errorf("the flooder is answered %d", status)
	}
	if status := scrapeStatus(h, "192.0.2.1:1"); status != http.StatusOK {
		t.Errorf("another account is answered %d", status)
	}
}

func TestMetrics_ExpirySeriesBounded(t *testing.T) {
	at := func(namespace string, n int, left time.Duration) v1alpha1.ApplicationToken {
		return v1alpha1.ApplicationToken{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("t-%04d", n)},
			Status:     readyStatus(metav1.ConditionTrue, "Issued", left),
		}
	}
	var all []v1alpha1.ApplicationToken
	for n := range 1000 {
		all = append(all, at("hostile", n, time.Duration(1000-n)*time.Second))
	}
	all = append(all, at("quiet", 1, time.Hour), at("quiet", 2, 2*time.Hour), at("lasting", 1, 0))
	of := map[string]int{}
	for _, token := range app.SoonestToExpire(all) {
		of[token.Namespace]++
		if token.Namespace == "hostile" && token.Status.Current.ExpiresAt.Sub(noon) > app.MaxExpirySeries*time.Second {
			t.Errorf("%s is not among those that expire first", token.Name)
		}
	}
	if len(of) != 2 || of["hostile"] != app.MaxExpirySeries-2 || of["quiet"] != 2 {
		t.Errorf("the series are of %v", of)
	}
}

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
