package app

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/apptoken/operator/internal/app/informer"
	"github.com/apptoken/operator/internal/app/metrics"
	"github.com/apptoken/operator/internal/app/options"
	"github.com/apptoken/operator/internal/freshness"
)

// CacheOptions returns the options of the operator's cache, and the metric of the bytes that it
// keeps.
func CacheOptions(o options.Options) (cache.Options, *prometheus.GaugeVec) {
	cached := metrics.NewCacheBytes()
	inform := informer.Factory{Cached: cached, Watches: &freshness.Watches{}, Limits: freshness.LimitsOf(o.Endpoints.MaxStaleness)}
	options := managerOptions(o, inform).Cache
	options.Scheme = Scheme()
	return options, cached
}
