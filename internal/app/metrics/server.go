package metrics

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/time/rate"
	certutil "k8s.io/client-go/util/cert"
	"k8s.io/utils/lru"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"

	"github.com/apptoken/operator/internal/server"
)

// Bounds of /metrics. A scrape walks every token and Client in the caches. A credential that is not
// known yet costs the API server a TokenReview and, if it is valid, a SubjectAccessReview.
const (
	maxScrapes         = 2  // answered at once
	maxMetricsRequests = 16 // in flight, including unauthenticated requests

	maxMetricsConnections = 64 // at once, at most a quarter from one source

	metricsRate, metricsBurst             = 50, 100 // requests per second
	metricsSourceRate, metricsSourceBurst = 5, 20   // from one source
	maxMetricsSources                     = 1024    // remembered
)

// serveMetrics adds /metrics to the manager, on every replica. It is served over TLS to clients
// that the API server authorizes to get /metrics. On a loopback address it is served over plain
// HTTP to every client there. The port is bound when serveMetrics returns.
func (op *Operator) serveMetrics(ctx context.Context, o Options, certificate *tls.Config) error {
	if o.MetricsAddress == "0" {
		return nil
	}
	socket, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.MetricsAddress)
	if err != nil {
		return fmt.Errorf("--metrics-bind-address=%s: %w", o.MetricsAddress, err)
	}
	op.MetricsAddr = socket.Addr()
	socket = server.LimitConnections(socket, maxMetricsConnections)
	handler, logger := scrapeHandler(op.Metrics()), ctrl.Log.WithName("metrics")
	if o.secureMetrics() {
		if socket, handler, err = op.secureMetricsListener(socket, handler, certificate, logger); err != nil {
			return err
		}
	}
	mux := http.NewServeMux()
	mux.Handle("/metrics", newRequestLimiter(handler, time.Now))
	return op.Manager.Add(&manager.Server{
		Name:     "metrics",
		Listener: socket,
		Server: &http.Server{
			Handler: server.RespondBeforeBody(mux), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second,
			IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10, ErrorLog: log.New(connectionErrorLog{logger}, "", 0),
		},
		ShutdownTimeout: new(time.Second),
	})
}

// secureMetricsListener returns the socket under TLS, and the handler behind authentication and
// authorization by the API server. Without a certificate it creates a self-signed one, which no
// client can verify, as other components of Kubernetes do.
func (op *Operator) secureMetricsListener(socket net.Listener, next http.Handler, certificate *tls.Config, logger logr.Logger) (net.Listener, http.Handler, error) {
	filter, err := filters.WithAuthenticationAndAuthorization(op.Manager.GetConfig(), op.Manager.GetHTTPClient())
	if err != nil {
		return nil, nil, fmt.Errorf("authenticate scrapers: %w", err)
	}
	handler, err := filter(logr.New(debugErrorSink{logger.GetSink()}), next)
	if err != nil {
		return nil, nil, fmt.Errorf("authenticate scrapers: %w", err)
	}
	config := certificate.Clone()
	if config == nil {
		cert, key, err := certutil.GenerateSelfSignedCertKey("localhost", []net.IP{net.IPv4(127, 0, 0, 1)}, nil)
		if err != nil {
			return nil, nil, fmt.Errorf("create a certificate for /metrics: %w", err)
		}
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return nil, nil, fmt.Errorf("create a certificate for /metrics: %w", err)
		}
		config = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	}
	config.NextProtos = []string{"http/1.1"} // one request at a time on a connection
	return tls.NewListener(socket, config), handler, nil
}

// scrapeHandler returns a handler that serves gatherer to maxScrapes clients at once, and answers
// 503 to others.
func scrapeHandler(gatherer prometheus.Gatherer) http.Handler {
	return promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{ErrorHandling: promhttp.HTTPErrorOnError, MaxRequestsInFlight: maxScrapes})
}

// requestLimiter limits the requests that reach the next handler, which may ask the API server
// about each. A source that floods it is rejected before it affects other sources.
type requestLimiter struct {
	next     http.Handler
	inFlight chan struct{}
	now      func() time.Time

	mu      sync.Mutex
	global  *rate.Limiter
	sources *lru.Cache // of *rate.Limiter, by prefix
}

func newRequestLimiter(next http.Handler, now func() time.Time) *requestLimiter {
	return &requestLimiter{
		next: next, inFlight: make(chan struct{}, maxMetricsRequests), now: now,
		global: rate.NewLimiter(metricsRate, metricsBurst), sources: lru.New(maxMetricsSources),
	}
}

// ServeHTTP answers 429 to a source that sends too many requests, and 503 while too many requests
// are in flight.
func (g *requestLimiter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if !g.allow(r.RemoteAddr) {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many requests; try again later", http.StatusTooManyRequests)
		return
	}
	select {
	case g.inFlight <- struct{}{}:
		defer func() { <-g.inFlight }()
		g.next.ServeHTTP(w, r)
	default:
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many requests at once; try again later", http.StatusServiceUnavailable)
	}
}

// allow reports whether a request may pass. A source over its own limit does not use up the common
// limit.
func (g *requestLimiter) allow(remote string) bool {
	source, now := sourcePrefix(remote), g.now()
	g.mu.Lock()
	defer g.mu.Unlock()
	of, ok := g.sources.Get(source)
	if !ok {
		of = rate.NewLimiter(metricsSourceRate, metricsSourceBurst)
		g.sources.Add(source, of)
	}
	limiter, ok := of.(*rate.Limiter)
	return ok && limiter.AllowN(now, 1) && g.global.AllowN(now, 1)
}

// sourcePrefix returns the prefix that counts as one source: an IPv4 address, or the /64 of an IPv6
// address. It is the zero Prefix if remote is no address.
func sourcePrefix(remote string) netip.Prefix {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{}
	}
	addr := at.Addr().Unmap().WithZone("")
	bits := 64
	if addr.Is4() {
		bits = 32
	}
	return netip.PrefixFrom(addr, bits).Masked()
}

// debugErrorSink logs errors at debug level. The filter logs an invalid credential as an error, and
// an unauthenticated client may send any number of those. The filter answers 500 to them, as it
// does if the API server cannot be asked.
type debugErrorSink struct{ logr.LogSink }

func (s debugErrorSink) Error(err error, message string, more ...any) {
	s.Info(1, message, append(more, "error", err.Error())...)
}

// connectionErrorLog logs, at debug level, what net/http reports of broken connections and
// handshakes. Peers can cause those without limit.
type connectionErrorLog struct{ log logr.Logger }

func (p connectionErrorLog) Write(line []byte) (int, error) {
	p.log.V(1).Info("connection error", "error", string(line))
	return len(line), nil
}
