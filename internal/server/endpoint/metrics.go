package endpoint

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/apptoken/operator/internal/verify"
)

// Name is an endpoint, or a group of endpoints, as metrics and audit log name it.
type Name int

// The endpoints.
const (
	Verify Name = iota
	ExtAuthz
	TokenReview
	Introspect
	Revoke
	Login
	Logout
	Manage
)

// Names are the values of the label endpoint, and of the audit log's key.
var Names = [...]string{
	Verify: "verify", ExtAuthz: "ext_authz", TokenReview: "tokenreview", Introspect: "introspect", Revoke: "revoke",
	Login: "login", Logout: "logout", Manage: "manage",
}

// Metrics holds the metrics of the endpoints.
type Metrics struct {
	answers  [len(Names)][]prometheus.Counter // looked up once, since every request counts
	duration [len(Names)]prometheus.Observer
}

// NewMetrics returns metrics that count answers by endpoint and verdict, and observe the duration
// of each in seconds by endpoint.
func NewMetrics(answers *prometheus.CounterVec, durations *prometheus.HistogramVec) *Metrics {
	m := &Metrics{}
	for d, name := range Names {
		for _, v := range verify.Verdicts() {
			m.answers[d] = append(m.answers[d], answers.WithLabelValues(name, v.String()))
		}
		m.duration[d] = durations.WithLabelValues(name)
	}
	return m
}

// Observe counts a verdict of an endpoint, and the time that the response took.
func (m *Metrics) Observe(d Name, v verify.Verdict, took time.Duration) {
	m.answers[d][v].Inc()
	m.duration[d].Observe(took.Seconds())
}
