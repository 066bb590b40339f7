package plan_test

import (
	"testing"
	"time"

	"github.com/apptoken/operator/internal/plan"
)

// deliveredInResponse makes the base fixture a token that is delivered in responses and rotates on
// request.
func deliveredInResponse(s *fixture) {
	s.want.DeliveredInResponse, s.want.DeclaredAt = true, noon
	s.want.Every, s.want.Trigger, s.have.Current.Trigger = 0, "", ""
}

// notDelivered also removes its current version.
func notDelivered(s *fixture) {
	deliveredInResponse(s)
	s.have.Secret, s.have.Current = plan.SecretAbsent, nil
}

func TestResponseDelivery_PlannerNeverIssues(t *testing.T) {
	with := func(more ...twist) twist {
		return func(s *fixture) {
			for _, m := range more {
				m(s)
			}
		}
	}
	late := noon.Add(plan.DeliveryTimeout)
	old := func(s *fixture) { s.have.Others = append(s.have.Others, predecessor(1, 0)) }
	fresh := func(s *fixture) { s.have.Others = append(s.have.Others, version(2, 0)) }
	rule(t, map[string]ruleCase{
		"at rest it is left alone":                        {twist: deliveredInResponse, want: plan.Plan{Why: plan.UpToDate, Wake: noon.Add(90*day - plan.MaxExpiryNotice)}},
		"for a moment the answer is on its way":           {twist: notDelivered, want: plan.Plan{Why: plan.DeliveryPending, Wake: late}},
		"one instant before it is late":                   {at: late.Add(-1), twist: notDelivered, want: plan.Plan{Why: plan.DeliveryPending, Wake: late}},
		"then it never arrived":                           {at: late, twist: notDelivered, want: plan.Plan{Why: plan.DeliveryMissing}},
		"a record that was not delivered does not change": {at: late, twist: with(notDelivered, fresh), want: plan.Plan{Why: plan.DeliveryMissing}},
		"with a predecessor it was there, and is gone":    {twist: with(notDelivered, old), want: plan.Plan{Why: plan.DeliveryMissing, Wake: noon.Add(10 * time.Minute)}},
		"a refusal is reported first":                     {at: late, twist: with(notDelivered, refusal), want: plan.Plan{Why: "ClientMissing"}},
		"the expired stay dead":                           {at: longLife, twist: deliveredInResponse, want: plan.Plan{Why: plan.IsExpired}},
		"revoked, all of it goes":                         {twist: with(deliveredInResponse, state(plan.Revoked)), want: plan.Plan{Do: plan.RetireAll, Why: plan.IsRevoked}},
		"revoked with nothing left, there is no more":     {twist: with(notDelivered, state(plan.Revoked)), want: plan.Plan{Why: plan.IsRevoked}},
		"a predecessor goes by the usual rule":            {at: noon.Add(time.Hour), twist: with(deliveredInResponse, old, successorUsed), want: plan.Plan{Do: plan.RetireOne, Why: plan.PredecessorUnused, Version: versionNamed("at-1")}},
		"what a crash left unmarked is marked":            {twist: with(deliveredInResponse, func(s *fixture) { s.have.Others = append(s.have.Others, version(1, day)) }), want: plan.Plan{Do: plan.Supersede, Why: plan.Superseded, Version: versionNamed("at-1"), SupersededAt: noon, ExpiresAt: noon.Add(day)}},
		"the current one and the unanswered get changed":  {twist: with(deliveredInResponse, func(s *fixture) { s.have.Current.Grants.Suspended = true }), want: changed(plan.GrantsChanged, "at-2", noon.Add(90*day))},
	})
}

func TestRotate_RequestRotatesOnceBesidesTrigger(t *testing.T) {
	asked := func(want, have string) twist {
		return func(s *fixture) { s.want.Request, s.have.Current.Request = want, have }
	}
	clone := plan.Plan{Do: plan.Issue, Why: plan.TriggerChanged, Version: versionNamed("at-2"), ExpiresAt: noon.Add(90 * day)}
	rest := plan.Plan{Why: plan.UpToDate, Wake: noon.Add(30 * day)}
	rule(t, map[string]ruleCase{
		"a request is a trigger":                  {twist: asked("a", ""), want: clone},
		"another one is one more":                 {twist: asked("b", "a"), want: clone},
		"the same one is done":                    {twist: asked("a", "a"), want: rest},
		"its withdrawal is none":                  {twist: asked("", "a"), want: rest},
		"a trigger counts though it is withdrawn": {twist: combined(asked("", "a"), func(s *fixture) { s.want.Trigger = "2" }), want: clone},
		"both together are one":                   {twist: combined(asked("b", "a"), func(s *fixture) { s.want.Trigger = "2" }), want: clone},
	})
}

func TestGrants_ChangedUserUpdatesRecord(t *testing.T) {
	rule(t, map[string]ruleCase{
		"the record gets the user": {twist: func(s *fixture) { s.want.Grants.User = "alice" }, want: changed(plan.GrantsChanged, "at-2", noon.Add(90*day))},
	})
}
