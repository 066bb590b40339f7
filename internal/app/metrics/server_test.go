package metrics_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/apptoken/operator/internal/app/metrics"
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
	h := metrics.NewRequestLimiter(metrics.NewScrapeHandler(g), time.Now)
	ended := make(chan int)
	for range metrics.MaxScrapes {
		go func() { ended <- scrapeStatus(h, "192.0.2.1:1") }()
		<-g.begun
	}
	if status := scrapeStatus(h, "192.0.2.2:1"); metrics.MaxScrapes != 2 || status != http.StatusServiceUnavailable {
		t.Errorf("the scrape after %d answers %d", metrics.MaxScrapes, status)
	}
	close(g.release)
	for range metrics.MaxScrapes {
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
	h := metrics.NewRequestLimiter(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		begun <- struct{}{}
		<-release
	}), time.Now)
	ended := make(chan int)
	for i := range metrics.MaxInFlight {
		go func() { ended <- scrapeStatus(h, fmt.Sprintf("192.0.2.%d:1", i+1)) }()
		<-begun
	}
	if status := scrapeStatus(h, "198.51.100.1:1"); status != http.StatusServiceUnavailable {
		t.Errorf("one request more answers %d", status)
	}
	close(release)
	for range metrics.MaxInFlight {
		<-ended
	}
}

func TestMetrics_FloodFromOneSourceSparesOthers(t *testing.T) {
	asked := 0
	h := metrics.NewRequestLimiter(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }), func() time.Time { return noon })
	for i := range 10_000 {
		scrapeStatus(h, fmt.Sprintf("[2001:db8::%x]:%d", i, i+1)) // all of one /64
	}
	if asked != metrics.SourceBurst {
		t.Errorf("of a flood, %d requests came through, want %d", asked, metrics.SourceBurst)
	}
	if status := scrapeStatus(h, "[2001:db8::1]:1"); status != http.StatusTooManyRequests {
		t.Errorf("the flooder is answered %d", status)
	}
	if status := scrapeStatus(h, "192.0.2.1:1"); status != http.StatusOK {
		t.Errorf("another account is answered %d", status)
	}
}
