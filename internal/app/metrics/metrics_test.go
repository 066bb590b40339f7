package metrics_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/app/health"
	"github.com/apptoken/operator/internal/app/metrics"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/testing/apptest"
	"github.com/apptoken/operator/internal/testing/controlplane"
	"github.com/apptoken/operator/internal/verify"
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

// fakeCache is a cache of Clients and ApplicationTokens. It has no other kind.
type fakeCache struct {
	client.Reader
	clients []v1alpha1.Client
	tokens  []v1alpha1.ApplicationToken
	err     error // of each read, if it is set
}

// List implements client.Reader.
func (c *fakeCache) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	switch list := list.(type) {
	case *v1alpha1.ClientList:
		list.Items = c.clients
	case *v1alpha1.ApplicationTokenList:
		list.Items = c.tokens
	default:
		return fmt.Errorf("the cache has no %T", list)
	}
	return c.err
}

// addToken adds a token of a client. If the client is empty, the token waits to clone another.
func (c *fakeCache) addToken(namespace, name, of string, status v1alpha1.ApplicationTokenStatus) {
	at := v1alpha1.ApplicationToken{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Status: status}
	if of == "" {
		at.Spec.CloneFrom = &v1alpha1.Reference{Name: "another"}
	} else {
		at.Spec.ClientRef, at.Spec.Roles = &v1alpha1.Reference{Name: v1alpha1.ObjectName(of)}, []v1alpha1.RoleName{"primary"}
	}
	c.tokens = append(c.tokens, at)
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

func TestMetrics_ClientLabelsExist(t *testing.T) {
	namespaces := [2]string{"shop-1", "shop-2"}
	var objects fakeCache
	var index verify.Index
	leads := false
	inventory := metrics.Inventory{Reader: &objects, IsLeading: func() bool { return leads }, Index: &index, Now: func() time.Time { return noon }}
	assertLines(t, "an empty cluster", scrapeLines(t, inventory), []string{"apptoken_records 0"})

	for _, label := range []string{"a", "b", "c"} {
		index.Set(record.Record{Digest: sha256.Sum256([]byte(label))})
	}
	objects.addToken(namespaces[0], "new", "acme", v1alpha1.ApplicationTokenStatus{})
	objects.addToken(namespaces[0], "lasting", "acme", readyStatus(metav1.ConditionTrue, "Issued", 0))
	objects.addToken(namespaces[0], "short", "acme", readyStatus(metav1.ConditionTrue, "Issued", 90*time.Minute))
	objects.addToken(namespaces[1], "short", "acme", readyStatus(metav1.ConditionTrue, "Issued", time.Second))
	objects.addToken(namespaces[1], "over", "acme", readyStatus(metav1.ConditionFalse, "Expired", -time.Hour))
	objects.addToken(namespaces[1], "odd", "acme", readyStatus(metav1.ConditionUnknown, "Expired", 0))
	objects.addToken(namespaces[1], "refused", "globex", readyStatus(metav1.ConditionFalse, "ClientMissing", 0))
	objects.addToken(namespaces[1], "waiting", "", v1alpha1.ApplicationTokenStatus{})
	cloned := readyStatus(metav1.ConditionTrue, "Issued", 0)
	cloned.Client = "globex"
	objects.addToken(namespaces[1], "cloned", "", cloned)

	for _, name := range []string{"acme", "globex"} {
		objects.clients = append(objects.clients, v1alpha1.Client{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	objects.addToken(namespaces[0], "invented", "a-name-that-a-tenant-made-up", v1alpha1.ApplicationTokenStatus{})
	objects.addToken(namespaces[1], "invented", "another-name", readyStatus(metav1.ConditionFalse, "ClientMissing", 0))

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
	for _, token := range metrics.SoonestToExpire(all) {
		of[token.Namespace]++
		if token.Namespace == "hostile" && token.Status.Current.ExpiresAt.Sub(noon) > metrics.MaxExpirySeries*time.Second {
			t.Errorf("%s is not among those that expire first", token.Name)
		}
	}
	if len(of) != 2 || of["hostile"] != metrics.MaxExpirySeries-2 || of["quiet"] != 2 {
		t.Errorf("the series are of %v", of)
	}
}

func TestMetrics_QueuesOfEndedTermsDoNotCount(t *testing.T) {
	depth, err := metrics.QueueDepth()
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		q := priorityqueue.New[string]("ended")
		q.Add("one")
		apptest.Eventually(t, "one item waits", func(context.Context) bool {
			return slices.Contains(scrapeLines(t, depth), `workqueue_depth{controller="ended",name="ended",priority="0"} 1`)
		})
		q.ShutDown()
		depth.Reset()
	}
}

func TestMetrics_ScrapeSurvivesUnreadableTokens(t *testing.T) {
	unreadable := &fakeCache{err: errors.New("the cache has not started")}
	got := scrapeLines(t, metrics.Inventory{Reader: unreadable, IsLeading: func() bool { return true }, Index: &verify.Index{}, Now: time.Now})
	assertLines(t, "an elected replica without a cluster", got, []string{"apptoken_records 0"})
}

func TestMetrics_ManualListsAll(t *testing.T) {
	manual, err := os.ReadFile(filepath.Join(controlplane.Root(), "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(apptoken_[a-z_]+)` \\|").FindAllStringSubmatch(string(manual), -1) {
		told = append(told, row[1])
	}
	described := make(chan *prometheus.Desc, 100)
	_, all := metrics.NewRecorder()
	all = append(all, metrics.NewEndpoints().Collectors()...)
	for _, c := range append(all, metrics.NewCacheBytes(), metrics.Inventory{}, &health.Heartbeat{}) {
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
