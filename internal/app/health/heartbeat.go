package health

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/app/metrics"
	"github.com/apptoken/operator/internal/freshness"
	"github.com/apptoken/operator/internal/verify"
)

// Heartbeat checks at intervals whether the API server answers and whether the watches deliver,
// once the index is complete. Its findings open and close the verifier.
type Heartbeat struct {
	Live            client.Reader
	Namespace       string
	CheckIndex      Check // returns an error until the index is complete
	Verifier        *verify.Verifier
	Watches         *freshness.Watches
	Limits          freshness.Limits
	Log             logr.Logger
	Now             func() time.Time
	EndpointsClosed <-chan struct{} // once the endpoints are, which depend on the heartbeat

	finding atomic.Pointer[freshness.Status] // by the last beat; nil: there was none
}

// heartbeatInterval is the longest interval between two beats, and the timeout of their request.
const heartbeatInterval = 2 * time.Second

// NeedLeaderElection returns false: every replica has its own heartbeat.
func (*Heartbeat) NeedLeaderElection() bool { return false }

// Start beats until the endpoints are closed. It outlives ctx, since the endpoints serve for some
// time after ctx has ended.
func (h *Heartbeat) Start(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	monitor := &freshness.Monitor{Limits: h.Limits}
	every := heartbeatInterval / 100 // at first, since nothing is accepted until the index is complete
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if h.CheckIndex() == nil {
			h.beat(ctx, monitor)
			if often := min(heartbeatInterval, h.Limits.Lost/10); every != often && h.finding.Load().Fresh {
				every = often
				tick.Reset(every)
			}
		}
		select {
		case <-h.EndpointsClosed:
			return nil
		case <-tick.C:
		}
	}
}

// beat checks the API server and the watches once.
func (h *Heartbeat) beat(ctx context.Context, monitor *freshness.Monitor) {
	answered := h.readAPIServer(ctx)
	now := h.Now()
	f := monitor.Evaluate(now, answered, h.Watches.Signs())
	switch {
	case !f.Open:
		h.Verifier.MarkStale()
	case f.Fresh:
		h.Verifier.MarkFresh()
	}
	before := h.finding.Swap(&f)
	if before == nil {
		before = &freshness.Status{}
	}
	h.logChanges(before, &f)
}

// logChanges logs which watches were lost, or deliver again, since the beat before.
func (h *Heartbeat) logChanges(before, now *freshness.Status) {
	was, is := strings.Join(before.Lost, ", "), strings.Join(now.Lost, ", ")
	switch {
	case was == is:
	case is != "":
		h.Log.Error(nil, "the API server answers, but a watch is lost: this replica does not verify until the watch delivers", "kinds", now.Lost, "limit", now.Limit.String())
	default:
		h.Log.Info("the watches deliver again", "kinds", before.Lost)
	}
}

// readAPIServer reads one record from the API server, not from a cache, and reports whether it
// answered.
func (h *Heartbeat) readAPIServer(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, heartbeatInterval)
	defer cancel()
	var records v1alpha1.TokenRecordList
	return h.Live.List(ctx, &records, client.InNamespace(h.Namespace), client.Limit(1)) == nil
}

// Ready returns the reason why this replica does not verify; nil if it does.
func (h *Heartbeat) Ready() error {
	f := h.finding.Load()
	switch {
	case f == nil:
		return errors.New("the endpoints are closed until first contact with the API server")
	case len(f.Lost) > 0:
		return fmt.Errorf("the API server answers, but the watch on %s has delivered nothing for longer than %s: the endpoints are closed until it does", strings.Join(f.Lost, ", "), f.Limit)
	case len(f.Behind) > 0:
		return fmt.Errorf("the API server did not answer for longer than %s: the endpoints are closed until the watch on %s delivers", h.Limits.Outage, strings.Join(f.Behind, ", "))
	case !h.Verifier.IsFresh():
		return fmt.Errorf("the API server has not answered for longer than %s: the endpoints are closed until it does", h.Limits.Outage)
	}
	return nil
}

// sinceContact returns the time since the API server last answered. ever is false if it never has.
func (h *Heartbeat) sinceContact() (since time.Duration, ever bool) {
	f := h.finding.Load()
	if f == nil || f.Contact.IsZero() {
		return 0, false
	}
	return h.Now().Sub(f.Contact), true
}

// LastOutage returns when the API server last did not answer this replica. Before the first beat it
// returns the current time, since earlier outages are not known.
func (h *Heartbeat) LastOutage() time.Time {
	if f := h.finding.Load(); f != nil {
		return f.Outage
	}
	return h.Now()
}

// NoContact reports that the API server has not answered yet.
const NoContact = "last contact with the API server: none yet"

// LastContact returns a line about when the API server last answered.
func (h *Heartbeat) LastContact() string {
	since, ever := h.sinceContact()
	if !ever {
		return NoContact
	}
	return fmt.Sprintf("last contact with the API server: %s ago", since.Truncate(time.Second))
}

// Describe implements prometheus.Collector.
func (*Heartbeat) Describe(out chan<- *prometheus.Desc) {
	out <- metrics.LastContact
	out <- metrics.WatchStaleness
	out <- metrics.WatchLost
}

// Collect implements prometheus.Collector.
func (h *Heartbeat) Collect(out chan<- prometheus.Metric) {
	since, _ := h.sinceContact()
	out <- prometheus.MustNewConstMetric(metrics.LastContact, prometheus.GaugeValue, since.Seconds())
	f := h.finding.Load()
	if f == nil {
		return
	}
	lost := map[string]float64{}
	for _, kind := range f.Lost {
		lost[kind] = 1
	}
	now := h.Now()
	for _, s := range h.Watches.Signs() {
		out <- prometheus.MustNewConstMetric(metrics.WatchStaleness, prometheus.GaugeValue, now.Sub(s.At).Seconds(), s.Kind)
		out <- prometheus.MustNewConstMetric(metrics.WatchLost, prometheus.GaugeValue, lost[s.Kind], s.Kind)
	}
}
