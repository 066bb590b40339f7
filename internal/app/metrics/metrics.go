package metrics

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/apptoken/operator/api/v1alpha1"
	ctrlmetrics "github.com/apptoken/operator/controllers/metrics"
	"github.com/apptoken/operator/internal/verify"
)

// Every metric that is computed at a scrape. The counters follow below; controller-runtime,
// client-go and Go have their own.
var (
	tokensDesc = prometheus.NewDesc("apptoken_tokens",
		"ApplicationTokens by client and state: Ready, the reason why a token is not Ready, or New. The client is empty for tokens that name no existing client.", []string{"client", "state"}, nil)
	expiryDesc = prometheus.NewDesc("apptoken_token_expiry_seconds",
		"Seconds until the current version of an ApplicationToken expires; negative once it has expired. Only for the 100 that expire first, taken from each namespace in turn.", []string{"namespace", "name"}, nil)
	recordsDesc = prometheus.NewDesc("apptoken_records",
		"TokenRecords in the index of this replica.", nil, nil)
	lastContactDesc = prometheus.NewDesc("apptoken_apiserver_last_contact_seconds",
		"Seconds since the API server last answered; 0 before its first answer.", nil, nil)
	watchStalenessDesc = prometheus.NewDesc("apptoken_watch_staleness_seconds",
		"Seconds since the last evidence that the watch on a kind delivers, such as an event or a bookmark, by kind.", []string{"kind"}, nil)
	watchLostDesc = prometheus.NewDesc("apptoken_watch_lost",
		"1 while the API server answers but the watch on a kind is lost, so that this replica does not verify; otherwise 0, by kind.", []string{"kind"}, nil)
)

func newMetrics() (*ctrlmetrics.Recorder, []prometheus.Collector) {
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

// newCacheBytes returns the metric of the bytes that caches keep. Informers update it as objects
// come and go, so that a scrape costs nothing.
func newCacheBytes() *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "apptoken_cache_bytes", Help: "Estimated bytes of the objects in the caches of this replica, by kind.",
	}, []string{"kind"})
}

// endpointMetrics holds the metrics of the endpoints.
type endpointMetrics struct {
	answers   *prometheus.CounterVec
	durations *prometheus.HistogramVec
	lookups   *prometheus.CounterVec
	logins    *prometheus.CounterVec
	overload  *prometheus.CounterVec
}

func (m endpointMetrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.answers, m.durations, m.lookups, m.logins, m.overload}
}

func newEndpointMetrics() endpointMetrics {
	return endpointMetrics{
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "apptoken_verifications_total", Help: "Verifications of credentials, by endpoint and result.",
		}, []string{"endpoint", "result"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "apptoken_verification_duration_seconds", Help: "Seconds from a request about a credential to its response, without the network, by endpoint.",
			Buckets: []float64{0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.005, 0.025, 0.1, 0.5, 2.5},
		}, []string{"endpoint"}),
		lookups: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "apptoken_lookups_total", Help: "Tokens that were not in the index and were looked up in the API server, by result: Found, Absent or Failed. Limited counts tokens that were not looked up.",
		}, []string{"result"}),
		logins: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "apptoken_logins_total", Help: "Requests with a username and password, by login protocol or management, and by result: LoggedIn, Checked, Denied, Limited, Refused or Unavailable.",
		}, []string{"protocol", "result"}),
		overload: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "apptoken_overload_rejections_total", Help: "Connections and requests that were rejected because there were too many at once, by limit: connections or requests.",
		}, []string{"limit"}),
	}
}

// register registers collectors with the registry of this operator. The registry of
// controller-runtime is shared by all operators of a process: a later operator would replace the
// collectors of an earlier one that still runs.
func (op *Operator) register(collectors ...prometheus.Collector) error {
	for _, c := range collectors {
		if err := op.metrics.Register(c); err != nil {
			return fmt.Errorf("register metrics: %w", err)
		}
	}
	return nil
}

// Metrics returns the gatherer of a scrape: the metrics of this operator, and those that
// controller-runtime, client-go and Go count for the whole process.
func (op *Operator) Metrics() prometheus.Gatherer {
	return prometheus.Gatherers{metrics.Registry, op.metrics}
}

// queueDepth returns the metric of how many items wait in work queues. controller-runtime does not
// export it, and expects no queue to end: the items that wait at the end of a term would count as
// long as the process lives.
func queueDepth() (*prometheus.GaugeVec, error) {
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

// inventory counts the objects in the caches at each scrape, so that no counter has to be kept
// consistent with them.
type inventory struct {
	reader    client.Reader
	isLeading func() bool // only the leader exports the metrics of tokens: each counts once
	index     *verify.Index
	now       func() time.Time
}

// Describe implements prometheus.Collector.
func (inventory) Describe(out chan<- *prometheus.Desc) {
	out <- tokensDesc
	out <- expiryDesc
	out <- recordsDesc
}

// Collect implements prometheus.Collector.
func (v inventory) Collect(out chan<- prometheus.Metric) {
	out <- prometheus.MustNewConstMetric(recordsDesc, prometheus.GaugeValue, float64(v.index.Len()))
	if !v.isLeading() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var clients v1alpha1.ClientList
	var tokens v1alpha1.ApplicationTokenList
	for _, list := range []client.ObjectList{&clients, &tokens} {
		if err := v.reader.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
			return // the cache starts or stops; a later scrape has the metrics
		}
	}
	for k, n := range countByClient(clients.Items, tokens.Items) {
		out <- prometheus.MustNewConstMetric(tokensDesc, prometheus.GaugeValue, float64(n), k.client, k.state)
	}
	for _, at := range soonestToExpire(tokens.Items) {
		left := at.Status.Current.ExpiresAt.Sub(v.now()).Seconds()
		out <- prometheus.MustNewConstMetric(expiryDesc, prometheus.GaugeValue, left, at.Namespace, at.Name)
	}
}

// tokenLabels holds the labels of a series of tokensDesc.
type tokenLabels struct{ client, state string }

// countByClient counts tokens by client and state. A name that a tenant made up does not become a
// label: tokens of clients that do not exist are counted together, under an empty name.
func countByClient(clients []v1alpha1.Client, tokens []v1alpha1.ApplicationToken) map[tokenLabels]int {
	exists := make(map[string]bool, len(clients))
	for i := range clients {
		exists[clients[i].Name] = true
	}
	counts := map[tokenLabels]int{}
	for i := range tokens {
		name := clientOf(&tokens[i])
		if !exists[name] {
			name = ""
		}
		counts[tokenLabels{name, stateOf(&tokens[i])}]++
	}
	return counts
}

// maxExpirySeries limits the series of expiryDesc.
const maxExpirySeries = 100

// soonestToExpire returns the tokens that expire first, at most maxExpirySeries. The first token of
// each namespace precedes the second of any other. So a namespace of many short-lived tokens does
// not hide the tokens of another.
func soonestToExpire(tokens []v1alpha1.ApplicationToken) []*v1alpha1.ApplicationToken {
	byNamespace := map[string][]*v1alpha1.ApplicationToken{}
	for i := range tokens {
		if c := tokens[i].Status.Current; c != nil && c.ExpiresAt != nil {
			byNamespace[tokens[i].Namespace] = append(byNamespace[tokens[i].Namespace], &tokens[i])
		}
	}
	type ranked struct {
		*v1alpha1.ApplicationToken
		rank int // in its namespace
	}
	sooner := func(a, b *v1alpha1.ApplicationToken) int {
		return cmp.Or(a.Status.Current.ExpiresAt.Compare(b.Status.Current.ExpiresAt.Time), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	}
	var all []ranked
	for _, list := range byNamespace {
		slices.SortFunc(list, sooner)
		for rank, at := range list[:min(len(list), maxExpirySeries)] {
			all = append(all, ranked{at, rank})
		}
	}
	slices.SortFunc(all, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), sooner(a.ApplicationToken, b.ApplicationToken))
	})
	var first []*v1alpha1.ApplicationToken
	for _, r := range all[:min(len(all), maxExpirySeries)] {
		first = append(first, r.ApplicationToken)
	}
	return first
}

func clientOf(at *v1alpha1.ApplicationToken) string {
	if at.Spec.ClientRef != nil {
		return string(at.Spec.ClientRef.Name)
	}
	return at.Status.Client
}

func stateOf(at *v1alpha1.ApplicationToken) string {
	switch c := meta.FindStatusCondition(at.Status.Conditions, v1alpha1.ConditionReady); {
	case c == nil:
		return "New"
	case c.Status == metav1.ConditionTrue:
		return "Ready"
	default:
		return c.Reason
	}
}
