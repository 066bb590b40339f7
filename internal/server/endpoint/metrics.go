package endpoint

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/apptoken/operator/internal/verify"
)

// Endpoint is an endpoint, or a group of endpoints, as metrics and audit log name it.
type Endpoint int

const (
	EndpointVerify Endpoint = iota
	EndpointExtAuthz
	EndpointTokenReview
	EndpointIntrospect
	EndpointRevoke
	EndpointLogin
	EndpointLogout
	EndpointManage
)

var EndpointNames = [...]string{
	EndpointVerify: "verify", EndpointExtAuthz: "ext_authz", EndpointTokenReview: "tokenreview", EndpointIntrospect: "introspect", EndpointRevoke: "revoke",
	EndpointLogin: "login", EndpointLogout: "logout", EndpointManage: "manage",
}

// Metrics holds the metrics of the endpoints.
type Metrics struct {
	answers  [len(EndpointNames)][]prometheus.Counter // looked up once, since every request counts
	duration [len(EndpointNames)]prometheus.Observer
}

// NewMetrics returns metrics that count answers by endpoint and verdict, and observe the duration
// of each in seconds by endpoint.
func NewMetrics(answers *prometheus.CounterVec, durations *prometheus.HistogramVec) *Metrics {
	m := &Metrics{}
	for d, name := range EndpointNames {
		for _, v := range verify.Verdicts() {
			m.answers[d] = append(m.answers[d], answers.WithLabelValues(name, v.String()))
		}
		m.duration[d] = durations.WithLabelValues(name)
	}
	return m
}

func (m *Metrics) Observe(d Endpoint, v verify.Verdict, took time.Duration) {
	m.answers[d][v].Inc()
	m.duration[d].Observe(took.Seconds())
}
