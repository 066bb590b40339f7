package server

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/apptoken/operator/internal/verify"
)

// door is one of the protocols in which we are asked.
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

// Metrics of the doors.
type Metrics struct {
	answer   [len(doors)][]prometheus.Counter // looked up once, since it is on the path of every request
	duration [len(doors)]prometheus.Observer
}

// NewMetrics counts answers by door and result, and observes by door how many seconds each took.
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
