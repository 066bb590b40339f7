package plan_test

import (
	"testing"
	"time"

	"github.com/apptoken/operator/internal/plan"
)

// ruleCases lists rules in their order, each with a change that makes it apply to a fixture that is
// at rest 100 days after noon.
var ruleCases = []struct {
	name       string
	why        plan.Why
	secretSlot string // two voices with one slot set the same field and cannot be combined
	needs      bool   // does not apply without a current version
	twist      twist
}{
	{"revoked", plan.IsRevoked, "state", false, state(plan.Revoked)},
	{"predecessorMayGo", plan.PredecessorUnused, "", false, func(s *fixture) {
		successor, v := predecessor(5, 0), predecessor(0, 0)
		v.SupersededAt, v.ExpiresAt = lateInstant.Add(-time.Hour), lateInstant.Add(day-time.Hour)
		successor.SupersededAt, successor.ExpiresAt, successor.LastUsedAt = lateInstant, lateInstant.Add(day), lateInstant
		s.have.Others = append(s.have.Others, successor, v)
	}},
	{"tookOver", plan.Superseded, "", true, func(s *fixture) {
		v := version(1, 30*day)
		v.ExpiresAt = lateInstant.Add(day)
		s.have.Others = append(s.have.Others, v)
	}},
	{"grantsChanged", plan.GrantsChanged, "", true, func(s *fixture) { s.have.Current.Grants.Suspended = true }},
	{"refused", "ClientMissing", "", false, refusal},
	{"suspended", plan.IsSuspended, "state", false, state(plan.Suspended)},
	{"pending", plan.DeliveryMissing, "secret", false, func(s *fixture) {
		s.want.DeliveredInResponse, s.have.Secret, s.have.Current = true, plan.SecretAbsent, nil
	}},
	{"secretForeign", plan.SecretTaken, "secret", false, func(s *fixture) { s.have.Secret, s.have.Current = plan.SecretForeign, nil }},
	{"secretMissing", plan.SecretChanged, "secret", false, func(s *fixture) { s.have.Secret, s.have.Current = plan.SecretAltered, nil }},
	{"recordMissing", plan.RecordMissing, "secret", false, recordDeleted},
	{"expired", plan.IsExpired, "due", true, func(s *fixture) { s.want.Lifetime, s.have.Current.ExpiresAt = day, noon.Add(day) }},
	{"rotationDue", plan.TriggerChanged, "due", true, func(s *fixture) { s.want.Trigger = "2" }},
	{"templateChanged", plan.TemplateChanged, "secret", true, func(s *fixture) { s.have.Secret = plan.SecretOutdated }},
}

var lateInstant = noon.Add(100 * day)

// atRestLate makes the base fixture be at rest at late: no rotation is due, and it does not expire.
func atRestLate(s *fixture) {
	s.want.Every, s.want.Lifetime, s.have.Current.ExpiresAt = 0, 0, time.Time{}
}

func TestRules_EachAppliesAlone(t *testing.T) {
	s := base(atRestLate)
	if got := plan.ForToken(lateInstant, s.want, s.have); got.Do != plan.Nothing || got.Why != plan.UpToDate || !got.Wake.IsZero() {
		t.Errorf("at rest: %s", formatPlan(got))
	}
	for _, v := range ruleCases {
		s := base(atRestLate, v.twist)
		if got := plan.ForToken(lateInstant, s.want, s.have); got.Why != v.why {
			t.Errorf("%s: %s", v.name, formatPlan(got))
		}
	}
}

func TestRules_FirstThatAppliesWins(t *testing.T) {
	pairs := 0
	for i, first := range ruleCases {
		for _, second := range ruleCases[i+1:] {
			takes := second.secretSlot == "secret" && second.name != "templateChanged" // leaves no current version
			if first.secretSlot != "" && first.secretSlot == second.secretSlot || first.needs && takes {
				continue
			}
			without := first.secretSlot == "secret" && first.name != "templateChanged"
			if without && second.needs {
				continue
			}
			pairs++
			for order, twists := range map[string][]twist{"": {first.twist, second.twist}, " the other way round": {second.twist, first.twist}} {
				s := base(append([]twist{atRestLate}, twists...)...)
				if got := plan.ForToken(lateInstant, s.want, s.have); got.Why != first.why {
					t.Errorf("%s before %s%s: %s", first.name, second.name, order, formatPlan(got))
				}
			}
		}
	}
	if pairs < 40 {
		t.Errorf("only %d pairs of rules occurred", pairs)
	}
}

// TestRules_OrderWithSharedFact checks rules that one fact makes apply together, which pairs of
// facts cannot show.
func TestRules_OrderWithSharedFact(t *testing.T) {
	due := func(s *fixture) { s.want.Trigger = "2" }
	clone := func(why plan.Why) plan.Plan {
		return plan.Plan{Do: plan.Issue, Why: why, Version: versionNamed("at-2"), ExpiresAt: longLife.Add(90 * day)}
	}
	rule(t, map[string]ruleCase{
		"the expired stay dead until a trigger":     {at: longLife, twist: combined(withoutSchedule, due), want: clone(plan.TriggerChanged)},
		"the expired that rotate are cloned":        {at: longLife, twist: nil, want: clone(plan.RotationDue)},
		"the expired are not written anew":          {at: longLife, twist: combined(withoutSchedule, func(s *fixture) { s.have.Secret = plan.SecretOutdated }), want: plan.Plan{Why: plan.IsExpired}},
		"a trigger counts before a rotation is due": {at: longLife, twist: due, want: clone(plan.TriggerChanged)},
		"room is made only for a successor": {twist: func(s *fixture) {
			for i := range int64(5) {
				s.have.Others = append(s.have.Others, predecessor(-i, 0))
			}
		}, want: plan.Plan{Why: plan.UpToDate, Wake: noon.Add(10 * time.Minute)}},
		"a predecessor goes before its shorter overlap is written": {
			twist: combined(withPredecessor, func(s *fixture) { s.want.Retire.Max = 0 }),
			want:  plan.Plan{Do: plan.RetireOne, Why: plan.OverlapOver, Version: versionNamed("at-1")},
		},
		"a lengthened life comes before the rotation that its end asked for": {
			at: longLife.Add(-time.Hour),
			twist: func(s *fixture) {
				s.want.Lifetime, s.want.Every = 200*day, 150*day
			}, want: changed(plan.ExpiryChanged, "at-2", noon.Add(200*day)),
		},
	})
}
