package metrics

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	ctrlmetrics "github.com/apptoken/operator/controllers/metrics"
)

// Metrics that are computed at a scrape. The counters follow below; controller-runtime, client-go
// and Go have their own.
var (
	tokensDesc = prometheus.NewDesc("apptoken_tokens",
		"ApplicationTokens by client and state: Ready, the reason why a token is not Ready, or New. The client is empty for tokens that name no existing client.", []string{"client", "state"}, nil)
	expiryDesc = prometheus.NewDesc("apptoken_token_expiry_seconds",
		"Seconds until the current version of an ApplicationToken expires; negative once it has expired. Only for the 100 that expire first, taken from each namespace in turn.", []string{"namespace", "name"}, nil)
	recordsDesc = prometheus.NewDesc("apptoken_records",
		"TokenRecords in the index of this replica.", nil, nil)
	// LastContact is exported by the heartbeat of each replica.
	LastContact = prometheus.NewDesc("apptoken_apiserver_last_contact_seconds",
		"Seconds since the API server last answered; 0 before its first answer.", nil, nil)
	// WatchStaleness is exported by the heartbeat of each replica.
	WatchStaleness = prometheus.NewDesc("apptoken_watch_staleness_seconds",
		"Seconds since the last evidence that the watch on a kind delivers, such as an event or a bookmark, by kind.", []string{"kind"}, nil)
	// WatchLost is exported by the heartbeat of each replica.
	WatchLost = prometheus.NewDesc("apptoken_watch_lost",
		"1 while the API server answers but the watch on a kind is lost, so that this replica does not verify; otherwise 0, by kind.", []string{"kind"}, nil)
)

// NewRecorder returns the metrics of the reconcilers, and their collectors.
func NewRecorder() (*ctrlmetrics.Recorder, []prometheus.Collector) {
	applyReady := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "apptoken_apply_to_ready_seconds",
		Help:    "Seconds from the creation of an ApplicationToken until it was Ready. Only for tokens that had no Ready condition before.",
		Buckets: []float64{0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800},
	})
	m := &ctrlmetrics.Recorder{
		Decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "apptoken_planner_decisions_total", Help: "Decisions of the planner about ApplicationTokens, by action and reason.",
		}, []string{"action", "reason"}),
		Rotations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "apptoken_rotations_total", Help: "Versions that replaced another version, by reason.",
		}, []string{"reason"}),
		Retirements: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "apptoken_retirements_total", Help: "Versions that were retired and records that were garbage-collected, by reason.",
		}, []string{"reason"}),
		ApplyReady: applyReady,
	}
	return m, []prometheus.Collector{m.Decisions, m.Rotations, m.Retirements, applyReady}
}

// NewCacheBytes returns the metric of the bytes that caches keep. Informers update it as objects
// come and go, so that a scrape costs nothing.
func NewCacheBytes() *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "apptoken_cache_bytes", Help: "Estimated bytes of the objects in the caches of this replica, by kind.",
	}, []string{"kind"})
}

// Endpoints holds the metrics of the endpoints.
type Endpoints struct {
	Verifications *prometheus.CounterVec
	Durations     *prometheus.HistogramVec
	Lookups       *prometheus.CounterVec
	Logins        *prometheus.CounterVec
	Overload      *prometheus.CounterVec
}

// Collectors returns all of them.
func (m Endpoints) Collectors() []prometheus.Collector {
	return []prometheus.Collector{m.Verifications, m.Durations, m.Lookups, m.Logins, m.Overload}
}

// NewEndpoints returns the metrics of the endpoints.
func NewEndpoints() Endpoints {
	return Endpoints{
		Verifications: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "apptoken_verifications_total", Help: "Verifications of credentials, by endpoint and result.",
		}, []string{"endpoint", "result"}),
		Durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "apptoken_verification_duration_seconds", Help: "Seconds from a request about a credential to its response, without the network, by endpoint.",
			Buckets: []float64{0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.005, 0.025, 0.1, 0.5, 2.5},
		}, []string{"endpoint"}),
		Lookups: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "apptoken_lookups_total", Help: "Tokens that were not in the index and were looked up in the API server, by result: Found, Absent or Failed. Limited counts tokens that were not looked up.",
		}, []string{"result"}),
		Logins: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "apptoken_logins_total", Help: "Requests with a username and password, by login protocol or management, and by result: LoggedIn, Checked, Denied, Limited, Refused or Unavailable.",
		}, []string{"protocol", "result"}),
		Overload: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "apptoken_overload_rejections_total", Help: "Connections and requests that were rejected because there were too many at once, by limit: connections or requests.",
		}, []string{"limit"}),
	}
}

// Register registers collectors with the registry of one operator. The registry of
// controller-runtime is shared by all operators of a process: a later operator would replace the
// collectors of an earlier one that still runs.
func Register(own *prometheus.Registry, collectors ...prometheus.Collector) error {
	for _, c := range collectors {
		if err := own.Register(c); err != nil {
			return fmt.Errorf("register metrics: %w", err)
		}
	}
	return nil
}

// GathererOf returns the gatherer of a scrape: the metrics of one operator, and those that
// controller-runtime, client-go and Go count for the whole process.
func GathererOf(own *prometheus.Registry) prometheus.Gatherer {
	return prometheus.Gatherers{metrics.Registry, own}
}

// QueueDepth returns the metric of how many items wait in work queues. controller-runtime does not
// export it, and expects no queue to end: the items that wait at the end of a term would count as
// long as the process lives.
func QueueDepth() (*prometheus.GaugeVec, error) {
	same := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Subsystem: metrics.WorkQueueSubsystem, Name: metrics.DepthKey, Help: "Current depth of workqueue by workqueue and priority",
	}, []string{"name", "controller", "priority"})
	err := metrics.Registry.Register(same)
	if registered, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if depth, ok := registered.ExistingCollector.(*prometheus.GaugeVec); ok {
			return depth, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("find the metric of work queues: %w", err)
	}
	return same, nil
}
