package servertest

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/server/endpoint"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
)

// newBase returns what the endpoints of a test server share. The budget is large, since a clock
// that stands still never refills it.
func newBase(t testing.TB, v *verify.Verifier, a *AuditRecorder, now func() time.Time) endpoint.Base {
	metrics, _ := newMetrics()
	return endpoint.Base{
		Budget:   endpoint.NewBudget(endpoint.BudgetOptions{PerCaller: 1 << 20}),
		Verifier: v,
		Trusted:  []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Audit:    a.newLog(t, now),
		Log:      a.Logger(),
		Now:      now,
		Metrics:  metrics,
	}
}

// newMetrics returns metrics of the endpoints, and the counter of the answers.
func newMetrics() (*endpoint.Metrics, *prometheus.CounterVec) {
	answers := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "answers"}, []string{"endpoint", "result"})
	return endpoint.NewMetrics(answers, prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "durations"}, []string{"endpoint"})), answers
}

// recordFinder is a record store that the verifier reads.
type recordFinder interface {
	Find(context.Context, token.Digest) (record.Record, error)
}

// newVerifier returns a verifier that has had contact with the store.
func newVerifier(index *verify.Index, store recordFinder, now func() time.Time) *verify.Verifier {
	v := newStaleVerifier(index, store, now)
	v.MarkFresh()
	return v
}

func newStaleVerifier(index *verify.Index, store recordFinder, now func() time.Time) *verify.Verifier {
	return verify.NewVerifier(index, store, verify.Options{LookupsPerSecond: 1000, Now: now, OnLookup: func(verify.Lookup) {}})
}
