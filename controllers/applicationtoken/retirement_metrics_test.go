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
			if err := api.Get(w.Ctx, w.Key(), &at); err != nil {
				return err
			}
			return api.Delete(w.Ctx, &at)
		},
		"revoked": func(w *fixture) error {
			return w.EditToken(func(at *v1alpha1.ApplicationToken) { at.Spec.State = v1alpha1.TokenRevoked })
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			o := w.NewOperator(api, api)
			w.Must(w.DeclareToken())
			w.Must(o.Settle())
			w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) { at.Spec.Rotation.Trigger = "2" }))
			w.Must(o.Settle())
			w.Must(end(w))
			w.Must(o.Settle())
			var m dto.Metric
			w.Must(o.Tokens.Metrics.Retirements.WithLabelValues(string(plan.IsRevoked)).Write(&m))
			if got := m.GetCounter().GetValue(); got != 2 {
				t.Errorf("%v versions are counted, want 2", got)
			}
		})
	}
}
