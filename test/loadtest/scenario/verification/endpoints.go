package verification

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"

	"github.com/apptoken/operator/internal/audit"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/server"
	"github.com/apptoken/operator/internal/server/endpoint"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
	"github.com/apptoken/operator/test/loadtest/load"
	"github.com/apptoken/operator/test/loadtest/report"
	"github.com/apptoken/operator/test/loadtest/scenario"
)

// maxPresented is the maximum number of different tokens that are presented at the endpoints.
const maxPresented = 4096

// maxReads is how many reads per second the verifier may make in the flood.
const maxReads = 50

// endpointTest holds endpoints that verify a set of tokens, in this process, and what is needed to
// compare them.
type endpointTest struct {
	tokenSet
	*server.Endpoints
	reads     *countingStore
	presented []int // numbers of the tokens that are presented
	stop      context.CancelFunc
	ended     []chan error
}

// countingStore is a record store without records that counts lookups.
type countingStore struct {
	emptyStore
	asked atomic.Int64
}

func (c *countingStore) Find(ctx context.Context, d token.Digest) (record.Record, error) {
	c.asked.Add(1)
	return c.emptyStore.Find(ctx, d)
}

// MeasureEndpoints measures the verification endpoints at each size, with the tokens of each kind.
func MeasureEndpoints(ctx context.Context, b *scenario.Run) error {
	for _, size := range b.Endpoints {
		for _, kind := range kindsAt(size, b.Endpoints, token.Login) {
			b.Logf("endpoints: %d %s", size, recordsLabel(kind))
			if err := measureEndpointsOf(ctx, b, size, kind); err != nil {
				return err
			}
		}
	}
	return nil
}

func measureEndpointsOf(ctx context.Context, b *scenario.Run, size int, kind token.Kind) (err error) {
	c, err := newTokenSet(size, kind)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	d := &endpointTest{tokenSet: c, reads: &countingStore{}, stop: stop}
	defer func() { err = errors.Join(err, d.stopListeners()) }()
	for i := range min(size, maxPresented) {
		d.presented = append(d.presented, i*size/min(size, maxPresented))
	}
	verifier := verify.NewVerifier(c.index, d.reads, verify.Options{LookupsPerSecond: maxReads, Now: time.Now, OnLookup: func(verify.Lookup) {}})
	verifier.MarkFresh()
	d.Endpoints = &server.Endpoints{
		Base: endpoint.Base{
			Verifier: verifier,
			Audit:    audit.New(io.Discard, time.Now),
			Now:      time.Now,
			Metrics: endpoint.NewMetrics(
				prometheus.NewCounterVec(prometheus.CounterOpts{Name: "answers"}, []string{"endpoint", "result"}),
				prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "durations", Buckets: prometheus.DefBuckets}, []string{"endpoint"}),
			),
		},
		Records: emptyStore{},
	}
	r := b.Report.Table(fmt.Sprintf("endpoints, %d %s", size, recordsLabel(kind)))
	measurements := []func(context.Context, *scenario.Run, report.Table) error{d.forwardAuth}
	if kind == token.Application { // apart from verifying, the other endpoints do the same for every kind
		measurements = append(measurements, d.basicAuth, d.extAuthz, d.tokenReview, d.introspection, d.otherOrigins, d.flood)
	}
	for _, measure := range measurements {
		if err := measure(ctx, b, r); err != nil {
			return err
		}
	}
	return nil
}

// serve serves h on a listener like those of the operator, and returns its address.
func (d *endpointTest) serve(ctx context.Context, h http.Handler) (string, error) {
	l := &server.Listener{Address: "127.0.0.1:0", Handler: h, Log: logr.Discard()}
	if g, ok := h.(*grpc.Server); ok {
		l.Handler, l.GRPC = nil, g
	}
	ended := make(chan error, 1)
	d.ended = append(d.ended, ended)
	go func() { ended <- l.Start(ctx) }()
	for l.Addr() == nil {
		if err := load.Sleep(ctx, time.Millisecond); err != nil {
			return "", err
		}
	}
	return l.Addr().String(), nil
}

func (d *endpointTest) stopListeners() error {
	d.stop()
	var errs []error
	for _, ended := range d.ended {
		errs = append(errs, <-ended)
	}
	return errors.Join(errs...)
}

// requests returns the same request for each of the presented tokens. With body, the first of these
// tokens is the credential of every request, and the body holds the token.
func (d *endpointTest) requests(method, path, contentType string, body func(text string) string) [][]byte {
	var list [][]byte
	for _, i := range d.presented {
		credential, content := d.texts[i], ""
		if body != nil {
			credential, content = d.texts[d.presented[0]], body(d.texts[i])
		}
		var lines []string
		if d.kind == token.Session {
			lines = []string{"Cookie: " + d.cookie(i)}
		}
		list = append(list, load.RawRequest(method, path, credential, contentType, content, lines...))
	}
	return list
}

// forwardAuth compares /verify with a handler that writes the same response without verifying, and
// with one whose response is empty.
func (d *endpointTest) forwardAuth(ctx context.Context, b *scenario.Run, r report.Table) error {
	handler := d.Handler()
	lines := []string{"Authorization: Bearer " + d.texts[d.presented[0]]}
	if d.kind == token.Session {
		lines = append(lines, "Cookie: "+d.cookie(d.presented[0]))
	}
	same, err := sameAnswer(ctx, handler, lines...)
	if err != nil {
		return err
	}
	empty := http.NewServeMux()
	empty.HandleFunc("/verify", func(http.ResponseWriter, *http.Request) {})
	requests := d.requests(http.MethodGet, "/verify?permission=search.query", "", nil)
	v, err := d.compare(ctx, b, requests, []string{"/verify", "the same answer, without looking", "an empty answer"}, handler, same, empty)
	if err != nil {
		return err
	}
	r.AddRatio("/verify, beside the same answer without looking", v[0].Rate, "/s", v[1].Rate, report.AtLeast(0.9))
	r.AddRatio("/verify, beside an empty answer", v[0].Rate, "/s", v[2].Rate, report.AtLeast(0.7))
	r.AddRatio("/verify, p99, beside the same answer without looking", report.Microseconds(v[0].P99), "µs", report.Microseconds(v[1].P99), report.AtMost(1.3))
	return nil
}

// sameAnswer returns a handler that writes the response of /verify to a request with these headers,
// without verifying.
func sameAnswer(ctx context.Context, handler http.Handler, headers ...string) (http.Handler, error) {
	sample := httptest.NewRecorder()
	asked := httptest.NewRequestWithContext(ctx, http.MethodGet, "/verify", nil)
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		asked.Header.Set(name, value)
	}
	asked.RemoteAddr = net.JoinHostPort(loopbackAddress.String(), "1024")
	handler.ServeHTTP(sample, asked)
	if sample.Code != http.StatusOK {
		return nil, fmt.Errorf("/verify answers %d to a valid credential", sample.Code)
	}
	same := http.NewServeMux()
	same.HandleFunc("/verify", func(w http.ResponseWriter, _ *http.Request) {
		header := w.Header()
		for name, values := range sample.Header() {
			header[name] = []string{values[0]}
		}
		w.WriteHeader(http.StatusOK)
	})
	return same, nil
}

// compare measures handlers against each other. All get the same requests.
func (d *endpointTest) compare(ctx context.Context, b *scenario.Run, requests [][]byte, names []string, handlers ...http.Handler) ([]load.Result, error) {
	var contenders []load.Target
	for i, h := range handlers {
		address, err := d.serve(ctx, h)
		if err != nil {
			return nil, err
		}
		contenders = append(contenders, load.HTTPTarget(names[i], address, requests))
	}
	return b.TurnsLasting(b.Turn).Compare(ctx, contenders...)
}
