package applicationtoken_test

import (
	"strings"
	"testing"
	"time"

	"github.com/apptoken/operator/controllers/applicationtoken"
	"github.com/apptoken/operator/internal/plan"
)

func TestExpiringSoon_MessageNamesWhatPreventsRotation(t *testing.T) {
	end := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	refused := plan.Refusal{Reason: "ClientSuspended", Message: "Client acme is suspended"}
	for name, c := range map[string]struct {
		spec plan.Desired
		want string
	}{
		"no rotation":                   {plan.Desired{}, "nothing asks for rotation; set spec.rotation.every, or change spec.rotation.trigger"},
		"delivered in responses":        {plan.Desired{DeliveredInResponse: true}, "nothing asks for rotation; rotate it through the HTTP API"},
		"rotation of a suspended token": {plan.Desired{Every: time.Hour, State: plan.Suspended}, "a suspended token does not rotate; set spec.state to Active"},
		"rotation of a revoked token":   {plan.Desired{Every: time.Hour, State: plan.Revoked}, "a revoked token does not rotate; delete it and declare a new one"},
		"rotation of a refused spec":    {plan.Desired{Every: time.Hour, Refused: refused}, "it does not rotate (ClientSuspended): Client acme is suspended"},
		"a refused spec, and suspended": {plan.Desired{State: plan.Suspended, Refused: refused}, "it does not rotate (ClientSuspended): Client acme is suspended"},
	} {
		got := applicationtoken.ExpiryMessage(end, c.spec)
		if !strings.HasPrefix(got, "Expires at 2026-03-01T12:00:00Z") || !strings.HasSuffix(got, ", and "+c.want) {
			t.Errorf("%s: %s", name, got)
		}
	}
}
