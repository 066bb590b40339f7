package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apptoken/operator/internal/plan"
)

// Recorder records metrics of the reconcilers. Their names and help texts are in
// internal/app/metrics.
type Recorder struct {
	Decisions   *prometheus.CounterVec // by action and reason
	Rotations   *prometheus.CounterVec // by reason
	Retirements *prometheus.CounterVec // by reason
	ApplyReady  prometheus.Observer    // seconds
}

// CountDecision counts a decision of the planner, by its action and reason.
func (r *Recorder) CountDecision(p plan.Plan) {
	r.Decisions.WithLabelValues(actionNames[p.Do], string(p.Why)).Inc()
}

// CountIssue counts an issue that is a rotation, by its reason.
func (r *Recorder) CountIssue(p plan.Plan) {
	if p.Why != plan.FirstIssue {
		r.Rotations.WithLabelValues(string(p.Why)).Inc()
	}
}

// CountRetirement counts a version that was retired or a record that was garbage-collected, by its
// reason.
func (r *Recorder) CountRetirement(p plan.Plan) {
	r.Retirements.WithLabelValues(string(p.Why)).Inc()
}

// ObserveReady observes the time from the creation of a token until it is Ready, if it had no Ready
// condition before.
func (r *Recorder) ObserveReady(took time.Duration, was *metav1.Condition) {
	if was == nil {
		r.ApplyReady.Observe(took.Seconds())
	}
}

// actionNames holds the values of the label action.
var actionNames = map[plan.Action]string{
	plan.Nothing: "Nothing", plan.Issue: "Issue", plan.Replace: "Replace", plan.Supersede: "Supersede", plan.Change: "Change",
	plan.RetireOne: "Retire", plan.RetireAll: "RetireAll", plan.Render: "Render",
}
