package metrics

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"k8s.io/client-go/rest"
	certutil "k8s.io/client-go/util/cert"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"

	"github.com/apptoken/operator/internal/server"
)

// Bounds of /metrics. A scrape walks every token and Client in the caches. A credential that is not
// known yet costs the API server a TokenReview and, if it is valid, a SubjectAccessReview.
const (
	maxScrapes  = 2  // answered at once
	maxInFlight = 16 // requests, including unauthenticated requests

	maxConnections = 64 // at once, at most a quarter from one source

	requestRate, requestBurst = 50, 100 // requests per second
	sourceRate, sourceBurst   = 5, 20   // from one source
	maxSources                = 1024    // remembered
)

// ServerOptions are the options of /metrics.
type ServerOptions struct {
	Address  string // host:port
	Gatherer prometheus.Gatherer
	// IsSecure reports whether it is served over TLS to clients that the API server authorizes to
	// get /metrics. Otherwise it is served over plain HTTP to every client.
	IsSecure    bool
	Certificate *tls.Config // nil: a self-signed one
	APIServer   *rest.Config
	HTTPClient  *http.Client // for the API server
}

// NewServer returns a server of /metrics, for every replica. Its port is bound.
func NewServer(ctx context.Context, o ServerOptions) (*manager.Server, error) {
	socket, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.Address)
	if err != nil {
		return nil, fmt.Errorf("--metrics-bind-address=%s: %w", o.Address, err)
	}
	socket = server.LimitConnections(socket, maxConnections)
	handler, logger := scrapeHandler(o.Gatherer), ctrl.Log.WithName("metrics")
	if o.IsSecure {
		if handler, err = o.authorize(handler, logger); err != nil {
			return nil, err
		}
		if socket, err = o.encrypt(socket); err != nil {
			return nil, err
		}
	}
	mux := http.NewServeMux()
	mux.Handle("/metrics", newRequestLimiter(handler, time.Now))
	return &manager.Server{
		Name:     "metrics",
		Listener: socket,
		Server: &http.Server{
			Handler: server.RespondBeforeBody(mux), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second,
			IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10, ErrorLog: log.New(connectionErrorLog{logger}, "", 0),
		},
		ShutdownTimeout: new(time.Second),
	}, nil
}

// authorize returns a handler behind authentication and authorization by the API server.
func (o ServerOptions) authorize(next http.Handler, logger logr.Logger) (http.Handler, error) {
	filter, err := filters.WithAuthenticationAndAuthorization(o.APIServer, o.HTTPClient)
	if err != nil {
		return nil, fmt.Errorf("authenticate scrapers: %w", err)
	}
	handler, err := filter(logr.New(debugErrorSink{logger.GetSink()}), next)
	if err != nil {
		return nil, fmt.Errorf("authenticate scrapers: %w", err)
	}
	return handler, nil
}

// encrypt returns the socket under TLS. Without a certificate it creates a self-signed one, which
// no client can verify, as other components of Kubernetes do.
func (o ServerOptions) encrypt(socket net.Listener) (net.Listener, error) {
	config := o.Certificate.Clone()
	if config == nil {
		cert, key, err := certutil.GenerateSelfSignedCertKey("localhost", []net.IP{net.IPv4(127, 0, 0, 1)}, nil)
		if err != nil {
			return nil, fmt.Errorf("create a certificate for /metrics: %w", err)
		}
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("create a certificate for /metrics: %w", err)
		}
		config = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	}
	config.NextProtos = []string{"http/1.1"} // one request at a time on a connection
	return tls.NewListener(socket, config), nil
}

// scrapeHandler returns a handler that serves gatherer to maxScrapes clients at once, and answers
// 503 to others.
func scrapeHandler(gatherer prometheus.Gatherer) http.Handler {
	return promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{ErrorHandling: promhttp.HTTPErrorOnError, MaxRequestsInFlight: maxScrapes})
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
