package metrics_test

import (
	"context"
	"crypto/sha256"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/app"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/verify"
	"github.com/apptoken/operator/test/cluster"
)

var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// scrapeLines returns the lines of a scrape of collectors, without comments.
func scrapeLines(t *testing.T, collectors ...prometheus.Collector) []string {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(collectors...)
	answer := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	var lines []string
	for line := range strings.Lines(answer.Body.String()) {
		if !strings.HasPrefix(line, "#") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	slices.Sort(lines)
	return lines
}

func assertLines(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: a scraper sees\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// createToken creates a token of a client. If the client is empty, the token waits to clone
// another.
func createToken(t *testing.T, namespace, name, of string, status v1alpha1.ApplicationTokenStatus) {
	t.Helper()
	at := &v1alpha1.ApplicationToken{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	if of == "" {
		at.Spec.CloneFrom = &v1alpha1.Reference{Name: "another"}
	} else {
		at.Spec.ClientRef, at.Spec.Roles = &v1alpha1.Reference{Name: v1alpha1.ObjectName(of)}, []v1alpha1.RoleName{"primary"}
	}
	if err := api.Create(t.Context(), at); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// The test's own context is over by now.
		if err := api.Delete(context.Background(), at); err != nil {
			t.Error(err)
		}
	})
	at.Status = status
	if err := api.Status().Update(t.Context(), at); err != nil {
		t.Fatal(err)
	}
}

// readyStatus returns a status with that condition. It expires so long after noon; 0: never.
func readyStatus(is metav1.ConditionStatus, reason string, expires time.Duration) v1alpha1.ApplicationTokenStatus {
	status := v1alpha1.ApplicationTokenStatus{
		Conditions: []metav1.Condition{
			{Type: v1alpha1.ConditionRestarted, Status: metav1.ConditionFalse, Reason: "RestartFailed", LastTransitionTime: metav1.NewTime(noon)},
			{Type: v1alpha1.ConditionReady, Status: is, Reason: reason, LastTransitionTime: metav1.NewTime(noon)},
		},
		Current: &v1alpha1.CurrentVersion{Record: "at-1", Hint: "…x7Qd", IssuedAt: metav1.NewTime(noon)},
	}
	if expires != 0 {
		status.Current.ExpiresAt = new(metav1.NewTime(noon.Add(expires)))
	}
	return status
}

// createClient creates a Client.
func createClient(t *testing.T, name string) {
	t.Helper()
	c := &v1alpha1.Client{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if err := api.Create(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// The test's own context is over by now.
		if err := api.Delete(context.Background(), c); err != nil {
			t.Error(err)
		}
	})
}

func TestMetrics_ClientLabelsExist(t *testing.T) {
	var namespaces [2]string
	for i := range namespaces {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "shop-"}}
		if err := api.Create(t.Context(), ns); err != nil {
			t.Fatal(err)
		}
		namespaces[i] = ns.Name
	}
	slices.Sort(namespaces[:])
	var index verify.Index
	leads := false
	inventory := app.NewInventory(api, func() bool { return leads }, &index, func() time.Time { return noon })
	assertLines(t, "an empty cluster", scrapeLines(t, inventory), []string{"apptoken_records 0"})

	for _, label := range []string{"a", "b", "c"} {
		index.Set(record.Record{Digest: sha256.Sum256([]byte(label))})
	}
	createToken(t, namespaces[0], "new", "acme", v1alpha1.ApplicationTokenStatus{})
	createToken(t, namespaces[0], "lasting", "acme", readyStatus(metav1.ConditionTrue, "Issued", 0))
	createToken(t, namespaces[0], "short", "acme", readyStatus(metav1.ConditionTrue, "Issued", 90*time.Minute))
	createToken(t, namespaces[1], "short", "acme", readyStatus(metav1.ConditionTrue, "Issued", time.Second))
	createToken(t, namespaces[1], "over", "acme", readyStatus(metav1.ConditionFalse, "Expired", -time.Hour))
	createToken(t, namespaces[1], "odd", "acme", readyStatus(metav1.ConditionUnknown, "Expired", 0))
	createToken(t, namespaces[1], "refused", "globex", readyStatus(metav1.ConditionFalse, "ClientMissing", 0))
	createToken(t, namespaces[1], "waiting", "", v1alpha1.ApplicationTokenStatus{})
	cloned := readyStatus(metav1.ConditionTrue, "Issued", 0)
	cloned.Client = "globex"
	createToken(t, namespaces[1], "cloned", "", cloned)

	for _, name := range []string{"acme", "globex"} {
		createClient(t, name)
	}
	createToken(t, namespaces[0], "invented", "a-name-that-a-tenant-made-up", v1alpha1.ApplicationTokenStatus{})
	createToken(t, namespaces[1], "invented", "another-name", readyStatus(metav1.ConditionFalse, "ClientMissing", 0))

	assertLines(t, "a replica that was not elected", scrapeLines(t, inventory), []string{"apptoken_records 3"})
	leads = true
	assertLines(t, "the replica that was elected", scrapeLines(t, inventory), []string{
		"apptoken_records 3",
		`apptoken_token_expiry_seconds{name="over",namespace="` + namespaces[1] + `"} -3600`,
		`apptoken_token_expiry_seconds{name="short",namespace="` + namespaces[0] + `"} 5400`,
		`apptoken_token_expiry_seconds{name="short",namespace="` + namespaces[1] + `"} 1`,
		`apptoken_tokens{client="",state="ClientMissing"} 1`,
		`apptoken_tokens{client="",state="New"} 2`,
		`apptoken_tokens{client="acme",state="Expired"} 2`,
		`apptoken_tokens{client="acme",state="New"} 1`,
		`apptoken_tokens{client="acme",state="Ready"} 3`,
		`apptoken_tokens{client="globex",state="ClientMissing"} 1`,
		`apptoken_tokens{client="globex",state="Ready"} 1`,
	})
}

func TestMetrics_QueuesOfEndedTermsDoNotCount(t *testing.T) {
	depth, err := app.QueueDepth()
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		q := priorityqueue.New[string]("ended")
		q.Add("one")
		eventually(t, "one item waits", func(context.Context) bool {
			return slices.Contains(scrapeLines(t, depth), `workqueue_depth{controller="ended",name="ended",priority="0"} 1`)
		})
		q.ShutDown()
		depth.Reset()
	}
}

func TestMetrics_ScrapeSurvivesUnreadableTokens(t *testing.T) {
	nowhere, err := client.New(&rest.Config{Host: "https://" + freeAddress(t)}, client.Options{Scheme: app.Scheme(), Mapper: api.RESTMapper()})
	if err != nil {
		t.Fatal(err)
	}
	got := scrapeLines(t, app.NewInventory(nowhere, func() bool { return true }, &verify.Index{}, time.Now))
	assertLines(t, "an elected replica without a cluster", got, []string{"apptoken_records 0"})
}

func TestMetrics_ManualListsAll(t *testing.T) {
	manual, err := os.ReadFile(filepath.Join(cluster.Root(), "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(apptoken_[a-z_]+)` \\|").FindAllStringSubmatch(string(manual), -1) {
		told = append(told, row[1])
	}
	described := make(chan *prometheus.Desc, 100)
	for _, c := range append(app.NewMetrics(), app.NewInventory(nil, nil, nil, nil)) {
		c.Describe(described)
	}
	close(described)
	var there []string
	for d := range described {
		there = append(there, regexp.MustCompile(`fqName: "([a-z_]+)"`).FindStringSubmatch(d.String())[1])
	}
	slices.Sort(told)
	slices.Sort(there)
	assertLines(t, "the manual", told, there)
}
