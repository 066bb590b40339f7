package plan_test

import (
	"testing"
	"time"

	"github.com/apptoken/operator/internal/plan"
)

// voices lists rules in their order, each with a change that makes it apply to a fixture that is at
// rest 100 days after noon.
var voices = []struct {
	name  string
	why   plan.Why
	slot  string // two voices with one slot set the same field and cannot be combined
	needs bool   // does not apply without a current version
	twist twist
}{
	{"revoked", plan.IsRevoked, "state", false, state(plan.Revoked)},
	{"predecessorMayGo", plan.WentUnused, "", false, func(s *scene) {
		successor, v := predecessor(5, 0), predecessor(0, 0)
		v.SupersededAt, v.ExpiresAt = late.Add(-time.Hour), late.Add(day-time.Hour)
		successor.SupersededAt, successor.ExpiresAt, successor.LastUsedAt = late, late.Add(day), late
		s.have.Others = append(s.have.Others, successor, v)
	}},
	{"tookOver", plan.TookOver, "", true, func(s *scene) {
		v := version(1, 30*day)
		v.ExpiresAt = late.Add(day)
		s.have.Others = append(s.have.Others, v)
	}},
	{"grantsChanged", plan.GrantsChanged, "", true, func(s *scene) { s.have.Current.Grants.Suspended = true }},
	{"refused", "ClientMissing", "", false, refusal},
	{"suspended", plan.IsSuspended, "state", false, state(plan.Suspended)},
	{"undelivered", plan.Undelivered, "secret", false, func(s *scene) {
		s.want.Answered, s.have.Secret, s.have.Current = true, plan.SecretAbsent, nil
	}},
	{"secretForeign", plan.SecretTaken, "secret", false, func(s *scene) { s.have.Secret, s.have.Current = plan.SecretForeign, nil }},
	{"secretMissing", plan.SecretChanged, "secret", false, func(s *scene) { s.have.Secret, s.have.Current = plan.SecretAltered, nil }},
	{"recordMissing", plan.RecordGone, "secret", false, disowned},
	{"expired", plan.IsExpired, "due", true, func(s *scene) { s.want.Lifetime, s.have.Current.ExpiresAt = day, noon.Add(day) }},
	{"rotationDue", plan.TriggerChanged, "due", true, func(s *scene) { s.want.Trigger = "2" }},
	{"templateChanged", plan.TemplateChanged, "secret", true, func(s *scene) { s.have.Secret = plan.SecretOutdated }},
}

var late = noon.Add(100 * day)

// lateRest makes the base fixture be at rest at late: no rotation is due, and it does not expire.
func lateRest(s *scene) { s.want.Every, s.want.Lifetime, s.have.Current.ExpiresAt = 0, 0, time.Time{} }

func TestEachRuleSpeaksAlone(t *testing.T) {
	s := base(lateRest)
	if got := plan.ForToken(late, s.want, s.have); got.Do != plan.Nothing || got.Why != plan.UpToDate || !got.Wake.IsZero() {
		t.Errorf("at rest: %s", say(got))
	}
	for _, v := range voices {
		s := base(lateRest, v.twist)
		if got := plan.ForToken(late, s.want, s.have); got.Why != v.why {
			t.Errorf("%s: %s", v.name, say(got))
		}
	}
}

func TestTheFirstRuleThatSpeaksWins(t *testing.T) {
	pairs := 0
	for i, first := range voices {
		for _, second := range voices[i+1:] {
			takes := second.slot == "secret" && second.name != "templateChanged" // leaves no current version
			if first.slot != "" && first.slot == second.slot || first.needs && takes {
				continue
			}
			without := first.slot == "secret" && first.name != "templateChanged"
			if without && second.needs {
				continue
			}
			pairs++
			for order, twists := range map[string][]twist{"": {first.twist, second.twist}, " the other way round": {second.twist, first.twist}} {
				s := base(append([]twist{lateRest}, twists...)...)
				if got := plan.ForToken(late, s.want, s.have); got.Why != first.why {
					t.Errorf("%s before %s%s: %s", first.name, second.name, order, say(got))
				}
			}
		}
	}
	if pairs < 40 {
		t.Errorf("only %d pairs of rules were heard", pairs)
	}
}

// TestNeighboursThatShareAFact checks rules that one fact makes apply together, which pairs of
// facts cannot show.
func TestNeighboursThatShareAFact(t *testing.T) {
	due := func(s *scene) { s.want.Trigger = "2" }
	clone := func(why plan.Why) plan.Plan {
		return plan.Plan{Do: plan.Issue, Why: why, Version: of("at-2"), ExpiresAt: longLife.Add(90 * day)}
	}
	rule(t, map[string]ruling{
		"the expired stay dead until a trigger":     {at: longLife, twist: both(byHand, due), want: clone(plan.TriggerChanged)},
		"the expired that rotate are cloned":        {at: longLife, twist: nil, want: clone(plan.RotationDue)},
		"the expired are not written anew":          {at: longLife, twist: both(byHand, func(s *scene) { s.have.Secret = plan.SecretOutdated }), want: plan.Plan{Why: plan.IsExpired}},
		"a trigger counts before a rotation is due": {at: longLife, twist: due, want: clone(plan.TriggerChanged)},
		"room is made only for a successor": {twist: func(s *scene) {
			for i := range int64(5) {
				s.have.Others = append(s.have.Others, predecessor(-i, 0))
			}
		}, want: plan.Plan{Why: plan.UpToDate, Wake: noon.Add(10 * time.Minute)}},
		"a predecessor goes before its shorter overlap is written": {
			twist: both(aged, func(s *scene) { s.want.Retire.Max = 0 }),
			want:  plan.Plan{Do: plan.RetireOne, Why: plan.OverlapOver, Version: of("at-1")},
		},
		"a lengthened life comes before the rotation that its end asked for": {
			at: longLife.Add(-time.Hour),
			twist: func(s *scene) {
				s.want.Lifetime, s.want.Every = 200*day, 150*day
			}, want: changed(plan.ExpiryChanged, "at-2", noon.Add(200*day)),
		},
	})
}
