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
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
	"github.com/apptoken/operator/internal/verify/verifytest"
)

// place is a gateway between callers, an upstream and the endpoints. Gateways connect from
// 127.0.0.1, the only address that the endpoints trust. Callers connect from 127.0.0.2 by default.
type place struct {
	*testing.T
	*verifytest.World
	gateway
	at        addresses
	authority *authority
	handler   http.Handler // of the endpoints
	shutDoors func()

	mu   sync.Mutex
	seen []arrival
}

// arrival is a request as it reached the upstream.
type arrival struct {
	method, uri string
	header      http.Header
	body        []byte
}

// nothing is an empty store: the index holds every record.
type nothing struct{}

func (nothing) Find(context.Context, token.Digest) (record.Record, error) {
	return record.Record{}, record.ErrGone
}

func (nothing) RetireAnyway(context.Context, record.Record) error { return nil }

// eachGateway runs a test with every gateway, in parallel.
func eachGateway(t *testing.T, test func(p *place)) {
	for name, g := range gateways {
		t.Run(name, func(t *testing.T) {
			g.installed(t)
			t.Parallel()
			test(newPlace(t, g))
		})
	}
}

func newPlace(t *testing.T, g gateway) *place {
	t.Helper()
	p := &place{T: t, World: verifytest.Load(t), gateway: g, authority: newAuthority(t), shutDoors: func() {}}
	upstream := httptest.NewServer(http.HandlerFunc(p.receive))
	t.Cleanup(upstream.Close)
	p.at = addresses{gateway: free(t), doors: free(t), upstream: upstream.Listener.Addr().String(), folder: t.TempDir()}
	if err := os.WriteFile(filepath.Join(p.at.folder, "ca.crt"), p.authority.pem(), 0o600); err != nil {
		t.Fatal(err)
	}
	p.handler = doors(p.World).Handler()
	p.openDoors(p.handler, service)
	t.Cleanup(func() { p.shutDoors() })
	g.start(t, p.at)
	return p
}

// doors returns the endpoints of a fixture.
func doors(w *verifytest.World) *server.Doors {
	now := func() time.Time { return w.Now }
	verifier := verify.NewVerifier(w.Index, nothing{}, verify.Options{Reads: 1000, Now: now, Lookups: func(verify.Lookup) {}})
	verifier.Heard()
	return &server.Doors{
		Verifier: verifier, Records: nothing{}, Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
		Now: now,
		Metrics: server.NewMetrics(
			prometheus.NewCounterVec(prometheus.CounterOpts{Name: "answers"}, []string{"endpoint", "result"}),
			prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "durations"}, []string{"endpoint"}),
		),
	}
}

// openDoors starts the listener that the gateway calls, with a handler and a certificate for a
// name.
func (p *place) openDoors(handler http.Handler, name string) {
	p.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(p.Context()))
	l := &server.Listener{Address: p.at.doors, Handler: handler, TLS: p.authority.server(p.T, name), Log: logr.Discard()}
	ended := make(chan error, 1)
	go func() { ended <- l.Start(ctx) }()
	p.shutDoors = sync.OnceFunc(func() {
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
func (p *place) receive(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		p.Error(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, arrival{r.Method, r.RequestURI, r.Header.Clone(), body})
	w.WriteHeader(http.StatusOK)
}

// arrivals returns the requests that reached the upstream since the last call.
func (p *place) arrivals() []arrival {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.seen
	p.seen = nil
	return all
}

// ask is a request of a caller: by default, GET / from 127.0.0.2.
type ask struct {
	method, path, from string
	header             http.Header // with its spelling
	body               io.Reader
}

// reply is the response to the caller, with the request that reached the upstream, if any.
type reply struct {
	status  int
	header  http.Header
	body    string
	arrived *arrival
}

// do sends a request to the gateway. Only a request that is answered with 200 may have reached the
// upstream, and exactly once.
func (p *place) do(a ask) reply {
	p.Helper()
	if a.method == "" {
		a.method = http.MethodGet
	}
	if a.from == "" {
		a.from = "127.0.0.2"
	}
	req, err := http.NewRequestWithContext(p.Context(), a.method, "http://"+p.at.gateway, a.body)
	if err != nil {
		p.Fatal(err)
	}
	req.URL.Opaque = "/" + a.path // sent with its spelling
	if strings.HasPrefix(a.path, "/") {
		// Sent with the host before the path, as requests to proxies are.
		req.URL.Opaque = "//" + p.at.gateway + req.URL.Opaque
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
	got := reply{status: res.StatusCode, header: res.Header, body: string(text)}
	switch arrived := p.arrivals(); {
	case len(arrived) > 0 && got.status != http.StatusOK:
		p.Errorf("a request that is answered with %d reached the upstream", got.status)
	case len(arrived) == 0 && got.status == http.StatusOK:
		p.Error("a request is answered with 200 and did not reach the upstream")
	case len(arrived) > 1:
		p.Error("a request reached the upstream twice")
	case len(arrived) == 1:
		got.arrived = &arrived[0]
	}
	return got
}

// bearing returns headers with the named token.
func (p *place) bearing(name string) http.Header {
	return http.Header{"Authorization": {"Bearer " + p.Tokens[name]}}
}
