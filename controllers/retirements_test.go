package controllers_test

import (
	"testing"

	dto "github.com/prometheus/client_model/go"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/plan"
)

func TestRetirements_CountDeletedAndRevokedVersions(t *testing.T) {
	for name, end := range map[string]func(*world) error{
		"deleted": func(w *world) error {
			var at v1alpha1.ApplicationToken
			if err := api.Get(w.ctx, w.key(), &at); err != nil {
				return err
			}
			return api.Delete(w.ctx, &at)
		},
		"revoked": func(w *world) error {
			return w.edit(func(at *v1alpha1.ApplicationToken) { at.Spec.State = v1alpha1.TokenRevoked })
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			o := w.start(api, api)
			w.must(w.declare())
			w.must(o.settle())
			w.must(w.edit(func(at *v1alpha1.ApplicationToken) { at.Spec.Rotation.Trigger = "2" }))
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
