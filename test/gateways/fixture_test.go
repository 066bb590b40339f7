package gateways_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/server"
	"github.com/apptoken/operator/internal/server/endpoint"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
	"github.com/apptoken/operator/internal/verify/verifytest"
)

// fixture is a gateway between callers, an upstream and the endpoints. Gateways connect from
// 127.0.0.1, the only address that the endpoints trust. Callers connect from 127.0.0.2 by default.
type fixture struct {
	*testing.T
	*verifytest.Fixture
	gateway
	addresses     addresses
	ca            *testCA
	handler       http.Handler // of the endpoints
	stopEndpoints func()

	mu       sync.Mutex
	received []upstreamRequest
}

// upstreamRequest is a request as it reached the upstream.
type upstreamRequest struct {
	method, uri string
	header      http.Header
	body        []byte
}

// emptyStore is an empty store: the index holds every record.
type emptyStore struct{}

func (emptyStore) Find(context.Context, token.Digest) (record.Record, error) {
	return record.Record{}, record.ErrGone
}

func (emptyStore) RetireAnyway(context.Context, record.Record) error { return nil }

// eachGateway runs a test with every gateway, in parallel.
func eachGateway(t *testing.T, test func(p *fixture)) {
	for name, g := range gateways {
		t.Run(name, func(t *testing.T) {
			g.skipUnlessInstalled(t)
			t.Parallel()
			test(newFixture(t, g))
		})
	}
}

func newFixture(t *testing.T, g gateway) *fixture {
	t.Helper()
	return newFixtureWith(t, g, func(*server.Endpoints) {})
}

// newFixtureWith returns a fixture, and calls tune on its endpoints before they start.
func newFixtureWith(t *testing.T, g gateway, tune func(*server.Endpoints)) *fixture {
	t.Helper()
	p := &fixture{T: t, Fixture: verifytest.Load(t), gateway: g, ca: newTestCA(t), stopEndpoints: func() {}}
	upstream := httptest.NewServer(http.HandlerFunc(p.receive))
	t.Cleanup(upstream.Close)
	p.addresses = addresses{gateway: freeAddress(t), endpoints: freeAddress(t), upstream: upstream.Listener.Addr().String(), folder: t.TempDir()}
	if err := os.WriteFile(filepath.Join(p.addresses.folder, "ca.crt"), p.ca.certPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	endpoints := newEndpoints(p.Fixture)
	tune(endpoints)
	p.handler = endpoints.Handler()
	p.startEndpoints(p.handler, serviceName)
	t.Cleanup(func() { p.stopEndpoints() })
	g.start(t, p.addresses)
	return p
}

// newEndpoints returns the endpoints of a fixture.
func newEndpoints(w *verifytest.Fixture) *server.Endpoints {
	now := func() time.Time { return w.Now }
	verifier := verify.NewVerifier(w.Index, emptyStore{}, verify.Options{LookupsPerSecond: 1000, Now: now, OnLookup: func(verify.Lookup) {}})
	verifier.MarkFresh()
	return &server.Endpoints{
		Base: endpoint.Base{
			Verifier: verifier,
			Trusted:  []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
			Now:      now,
			Metrics: endpoint.NewMetrics(
				prometheus.NewCounterVec(prometheus.CounterOpts{Name: "answers"}, []string{"endpoint", "result"}),
				prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "durations"}, []string{"endpoint"}),
			),
		},
		Records: emptyStore{},
	}
}

// startEndpoints starts the listener that the gateway calls, with a handler and a certificate for a
// name.
func (p *fixture) startEndpoints(handler http.Handler, name string) {
	p.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(p.Context()))
	l := &server.Listener{Address: p.addresses.endpoints, Handler: handler, TLS: p.ca.serverConfig(p.T, name), Log: logr.Discard()}
	ended := make(chan error, 1)
	go func() { ended <- l.Start(ctx) }()
	p.stopEndpoints = sync.OnceFunc(func() {
		stop()
		if err := <-ended; err != nil {
			p.Error(err)
		}
	})
	if err := wait.PollUntilContextTimeout(ctx, time.Millisecond, 10*time.Second, true, func(context.Context) (bool, error) {
		return l.Ready() == nil, nil
	}); err != nil {
		p.Fatal(err)
	}
}

// receive is the upstream.
func (p *fixture) receive(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		p.Error(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.received = append(p.received, upstreamRequest{r.Method, r.RequestURI, r.Header.Clone(), body})
	w.WriteHeader(http.StatusOK)
}

// takeReceived returns the requests that reached the upstream since the last call.
func (p *fixture) takeReceived() []upstreamRequest {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.received
	p.received = nil
	return all
}

// callerRequest is a request of a caller: by default, GET / from 127.0.0.2.
type callerRequest struct {
	method, path, from string
	header             http.Header // with its spelling
	body               io.Reader
}

// callerResponse is the response to the caller, with the request that reached the upstream, if any.
type callerResponse struct {
	status   int
	header   http.Header
	body     string
	upstream *upstreamRequest
}

// send sends a request to the gateway. Only a request that is answered with 200 may have reached
// the upstream, and exactly once.
func (p *fixture) send(a callerRequest) callerResponse {
	p.Helper()
	if a.method == "" {
		a.method = http.MethodGet
	}
	if a.from == "" {
		a.from = "127.0.0.2"
	}
	req, err := http.NewRequestWithContext(p.Context(), a.method, "http://"+p.addresses.gateway, a.body)
	if err != nil {
		p.Fatal(err)
	}
	req.URL.Opaque = "/" + a.path // sent with its spelling
	if strings.HasPrefix(a.path, "/") {
		// Sent with the host before the path, as requests to proxies are.
		req.URL.Opaque = "//" + p.addresses.gateway + req.URL.Opaque
	}
	if a.header != nil {
		req.Header = a.header
	}
	from := &net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(a.from), 0))}
	caller := &http.Client{
		Transport:     &http.Transport{DialContext: from.DialContext, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := caller.Do(req)
	if err != nil {
		p.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		p.Fatal(err)
	}
	got := callerResponse{status: res.StatusCode, header: res.Header, body: string(text)}
	switch arrived := p.takeReceived(); {
	case len(arrived) > 0 && got.status != http.StatusOK:
		p.Errorf("a request that is answered with %d reached the upstream", got.status)
	case len(arrived) == 0 && got.status == http.StatusOK:
		p.Error("a request is answered with 200 and did not reach the upstream")
	case len(arrived) > 1:
		p.Error("a request reached the upstream twice")
	case len(arrived) == 1:
		got.upstream = &arrived[0]
	}
	return got
}

// bearerHeader returns headers with the named token.
func (p *fixture) bearerHeader(name string) http.Header {
	return http.Header{"Authorization": {"Bearer " + p.Tokens[name]}}
}
