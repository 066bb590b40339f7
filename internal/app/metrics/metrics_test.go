package metrics_test

import (
	"context"
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
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"

	"github.com/apptoken/operator/internal/app/health"
	"github.com/apptoken/operator/internal/app/metrics"
	"github.com/apptoken/operator/internal/testing/apptest"
	"github.com/apptoken/operator/internal/testing/controlplane"
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
