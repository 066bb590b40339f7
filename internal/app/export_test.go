package app

import (
	"context"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/freshness"
	"github.com/apptoken/operator/internal/verify"
)

// NewInventory returns the collector of the objects in the caches.
func NewInventory(reader client.Reader, leading func() bool, index *verify.Index, now func() time.Time) prometheus.Collector {
	return inventory{reader, leading, index, now}
}

// NewScrapeHandler returns a handler of scrapes.
func NewScrapeHandler(from prometheus.Gatherer) http.Handler { return scrapeHandler(from) }

// SoonestToExpire returns the tokens whose expiry is a series.
func SoonestToExpire(tokens []v1alpha1.ApplicationToken) []*v1alpha1.ApplicationToken {
	return soonestToExpire(tokens)
}

// NewRequestLimiter returns a handler that limits the requests for metrics.
func NewRequestLimiter(next http.Handler, now func() time.Time) http.Handler {
	return newRequestLimiter(next, now)
}

// Bounds of /metrics.
const (
	MaxScrapes         = maxScrapes
	MaxMetricsRequests = maxMetricsRequests
	MetricsSourceBurst = metricsSourceBurst
	MaxExpirySeries    = maxExpirySeries
)

// NewMetrics returns the collectors of the reconcilers and the endpoints.
func NewMetrics() []prometheus.Collector {
	_, all := newMetrics()
	return append(append(all, newCacheBytes(), &heartbeat{}), newEndpointMetrics().collectors()...)
}

// CacheOptions returns the options of the operator's cache, and the metric of the bytes that it
// keeps.
func CacheOptions(o Options) (cache.Options, *prometheus.GaugeVec) {
	cached := newCacheBytes()
	inform := informerFactory{cached: cached, watches: &freshness.Watches{}, watchTimeout: watchTimeoutOf(freshness.LimitsOf(o.Endpoints.MaxStaleness))}
	options := managerOptions(o, inform).Cache
	options.Scheme = Scheme()
	return options, cached
}

// Term is the manager of one term of leadership.
type Term = term

// CacheView returns a view of a shared cache for a term.
func (t *term) CacheView(c cache.Cache) cache.Cache { return t.cacheView(c) }

// NewCertificateSecret returns the reconciler of the Secret that the options name.
func NewCertificateSecret(direct client.Client, o Options, now func() time.Time) reconcile.Reconciler {
	return newCertificateSecret(direct, o, now)
}

// IsUnavailable reports whether an error means that the API server is unreachable or out of order.
func IsUnavailable(err error) bool { return isUnavailable(err) }

// QueueDepth returns the metric of how many items wait in work queues.
func QueueDepth() (*prometheus.GaugeVec, error) { return queueDepth() }

// Leadership elects a replica.
type Leadership = leadership

// NewLeadership returns a replica that competes for the Lease in a namespace, and runs term while
// it leads.
func NewLeadership(to *rest.Config, namespace string, term func(context.Context) error) (*Leadership, error) {
	lock, err := newLease(to, namespace, nil, logr.Discard())
	return &leadership{lock: lock, term: term, log: logr.Discard()}, err
}

// Leading reports whether the replica reconciles.
func (l *leadership) Leading() bool { return l.leading.Load() }
