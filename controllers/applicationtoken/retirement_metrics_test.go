package applicationtoken_test

import (
	"testing"

	dto "github.com/prometheus/client_model/go"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/plan"
)

func TestRetirements_CountDeletedAndRevokedVersions(t *testing.T) {
	for name, end := range map[string]func(*fixture) error{
		"deleted": func(w *fixture) error {
			var at v1alpha1.ApplicationToken
			if err := api.Get(w.ctx, w.key(), &at); err != nil {
				return err
			}
			return api.Delete(w.ctx, &at)
		},
		"revoked": func(w *fixture) error {
			return w.editToken(func(at *v1alpha1.ApplicationToken) { at.Spec.State = v1alpha1.TokenRevoked })
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			o := w.newOperator(api, api)
			w.must(w.declareToken())
			w.must(o.settle())
			w.must(w.editToken(func(at *v1alpha1.ApplicationToken) { at.Spec.Rotation.Trigger = "2" }))
			w.must(o.settle())
			w.must(end(w))
			w.must(o.settle())
			var m dto.Metric
			w.must(o.tokens.Metrics.Retirements.WithLabelValues(string(plan.IsRevoked)).Write(&m))
			if got := m.GetCounter().GetValue(); got != 2 {
				t.Errorf("%v versions are counted, want 2", got)
			}
		})
	}
}
