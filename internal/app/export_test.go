package app

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/freshness"
	"github.com/apptoken/operator/internal/verify"
)

// NewInventory is the collector of what is in the caches.
func NewInventory(reader client.Reader, elected <-chan struct{}, index *verify.Index, now func() time.Time) prometheus.Collector {
	return inventory{reader, elected, index, now}
}

// NewScrapeHandler answers scrapes of a gatherer.
func NewScrapeHandler(from prometheus.Gatherer) http.Handler { return scrapeHandler(from) }

// SoonestToExpire are the tokens whose expiry is a series.
func SoonestToExpire(tokens []v1alpha1.ApplicationToken) []*v1alpha1.ApplicationToken {
	return soonestToExpire(tokens)
}

// NewGate bounds the requests for metrics.
func NewGate(next http.Handler, now func() time.Time) http.Handler { return newGate(next, now) }

// Bounds of /metrics.
const (
	MaxScrapes         = maxScrapes
	MaxMetricsRequests = maxMetricsRequests
	MetricsSourceBurst = metricsSourceBurst
	MaxExpirySeries    = maxExpirySeries
)

// NewMetrics are the collectors of what the reconcilers and the doors count.
func NewMetrics() []prometheus.Collector {
	_, all := newMetrics()
	return append(append(all, newCacheBytes(), &heartbeat{}), newDoorMetrics().collectors()...)
}

// NewCertificateSecret returns the reconciler of the Secret that the options name.
func NewCertificateSecret(direct client.Client, o Options, now func() time.Time) reconcile.Reconciler {
	return newCertificateSecret(direct, o, now)
}

// CacheOptions are those of the cache of an operator, and the metric of what it keeps.
func CacheOptions(o Options) (cache.Options, *prometheus.GaugeVec) {
	cached := newCacheBytes()
	inform := informers{cached: cached, watches: &freshness.Watches{}, lasts: watchTime(freshness.LimitsOf(o.Doors.MaxStaleness))}
	options := managerOptions(o, inform).Cache
	options.Scheme = Scheme()
	return options, cached
}
