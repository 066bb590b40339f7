package server

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/apptoken/operator/internal/verify"
)

// endpoint is an endpoint, or a group of endpoints, as metrics and audit log name it.
type endpoint int

const (
	endpointVerify endpoint = iota
	endpointExtAuthz
	endpointTokenReview
	endpointIntrospect
	endpointRevoke
	endpointLogin
	endpointLogout
	endpointManage
)

var endpointNames = [...]string{
	endpointVerify: "verify", endpointExtAuthz: "ext_authz", endpointTokenReview: "tokenreview", endpointIntrospect: "introspect", endpointRevoke: "revoke",
	endpointLogin: "login", endpointLogout: "logout", endpointManage: "manage",
}

// Metrics holds the metrics of the endpoints.
type Metrics struct {
	answers  [len(endpointNames)][]prometheus.Counter // looked up once, since every request counts
	duration [len(endpointNames)]prometheus.Observer
}

// NewMetrics returns metrics that count answers by endpoint and verdict, and observe the duration
// of each in seconds by endpoint.
func NewMetrics(answers *prometheus.CounterVec, durations *prometheus.HistogramVec) *Metrics {
	m := &Metrics{}
	for d, name := range endpointNames {
		for _, v := range verify.Verdicts() {
			m.answers[d] = append(m.answers[d], answers.WithLabelValues(name, v.String()))
		}
		m.duration[d] = durations.WithLabelValues(name)
	}
	return m
}

func (m *Metrics) observe(d endpoint, v verify.Verdict, took time.Duration) {
	m.answers[d][v].Inc()
	m.duration[d].Observe(took.Seconds())
}
