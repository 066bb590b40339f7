package server

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/apptoken/operator/internal/verify"
)

// door is an endpoint, or a group of endpoints, as metrics and audit log name it.
type door int

const (
	doorVerify door = iota
	doorExtAuthz
	doorReview
	doorIntrospect
	doorRevoke
	doorLogin
	doorLogout
	doorManage
)

var doors = [...]string{
	doorVerify: "verify", doorExtAuthz: "ext_authz", doorReview: "tokenreview", doorIntrospect: "introspect", doorRevoke: "revoke",
	doorLogin: "login", doorLogout: "logout", doorManage: "manage",
}

// Metrics holds the metrics of the endpoints.
type Metrics struct {
	answer   [len(doors)][]prometheus.Counter // looked up once, since every request counts
	duration [len(doors)]prometheus.Observer
}

// NewMetrics returns metrics that count answers by endpoint and verdict, and observe the duration
// of each in seconds by endpoint.
func NewMetrics(answers *prometheus.CounterVec, durations *prometheus.HistogramVec) *Metrics {
	m := &Metrics{}
	for d, name := range doors {
		for _, v := range verify.Verdicts() {
			m.answer[d] = append(m.answer[d], answers.WithLabelValues(name, v.String()))
		}
		m.duration[d] = durations.WithLabelValues(name)
	}
	return m
}

func (m *Metrics) answered(d door, v verify.Verdict, took time.Duration) {
	m.answer[d][v].Inc()
	m.duration[d].Observe(took.Seconds())
}
