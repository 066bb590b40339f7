package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apptoken/operator/internal/plan"
)

// Metrics holds what the reconcilers count. Names and help texts are in internal/app.
type Metrics struct {
	Decisions   *prometheus.CounterVec // by action and reason
	Rotations   *prometheus.CounterVec // by reason
	Retirements *prometheus.CounterVec // by reason
	ApplyReady  prometheus.Observer    // seconds
}

var actionNames = map[plan.Action]string{
	plan.Nothing: "Nothing", plan.Issue: "Issue", plan.Replace: "Replace", plan.Supersede: "Supersede", plan.Change: "Change",
	plan.RetireOne: "Retire", plan.RetireAll: "RetireAll", plan.Render: "Render",
}

// CountDecision counts a decision of the planner by its action and reason.
func (m *Metrics) CountDecision(p plan.Plan) {
	m.Decisions.WithLabelValues(actionNames[p.Do], string(p.Why)).Inc()
}

// CountIssue counts an issue that is a rotation by its reason.
func (m *Metrics) CountIssue(p plan.Plan) {
	if p.Why != plan.FirstIssue {
		m.Rotations.WithLabelValues(string(p.Why)).Inc()
	}
}

// CountRetirement counts a predecessor that was retired by its reason.
func (m *Metrics) CountRetirement(p plan.Plan) {
	m.Retirements.WithLabelValues(string(p.Why)).Inc()
}

// ObserveReady observes the time from the creation of a token until it is Ready, if it had no Ready
// condition before.
func (m *Metrics) ObserveReady(took time.Duration, was *metav1.Condition) {
	if was == nil {
		m.ApplyReady.Observe(took.Seconds())
	}
}
