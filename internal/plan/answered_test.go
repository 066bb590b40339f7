package plan_test

import (
	"testing"
	"time"

	"github.com/apptoken/operator/internal/plan"
)

// answered makes the base fixture a token that is delivered in responses and rotates on request.
func answered(s *scene) {
	s.want.Answered, s.want.Since = true, noon
	s.want.Every, s.want.Trigger, s.have.Current.Trigger = 0, "", ""
}

// unanswered also removes its current version.
func unanswered(s *scene) {
	answered(s)
	s.have.Secret, s.have.Current = plan.SecretAbsent, nil
}

func TestWhatIsGivenInAnswersIsNeverIssuedHere(t *testing.T) {
	with := func(more ...twist) twist {
		return func(s *scene) {
			for _, m := range more {
				m(s)
			}
		}
	}
	late := noon.Add(plan.AnswerTime)
	old := func(s *scene) { s.have.Others = append(s.have.Others, predecessor(1, 0)) }
	fresh := func(s *scene) { s.have.Others = append(s.have.Others, version(2, 0)) }
	rule(t, map[string]ruling{
		"at rest it is left alone":                       {twist: answered, want: plan.Plan{Why: plan.UpToDate, Wake: noon.Add(90*day - plan.MaxNotice)}},
		"for a moment the answer is on its way":          {twist: unanswered, want: plan.Plan{Why: plan.OnItsWay, Wake: late}},
		"one instant before it is late":                  {at: late.Add(-1), twist: unanswered, want: plan.Plan{Why: plan.OnItsWay, Wake: late}},
		"then it never arrived":                          {at: late, twist: unanswered, want: plan.Plan{Why: plan.Undelivered}},
		"a record that nobody was told of changes not":   {at: late, twist: with(unanswered, fresh), want: plan.Plan{Why: plan.Undelivered}},
		"with a predecessor it was there, and is gone":   {twist: with(unanswered, old), want: plan.Plan{Why: plan.Undelivered, Wake: noon.Add(10 * time.Minute)}},
		"a refusal is told of first":                     {at: late, twist: with(unanswered, refusal), want: plan.Plan{Why: "ClientMissing"}},
		"the expired stay dead":                          {at: longLife, twist: answered, want: plan.Plan{Why: plan.IsExpired}},
		"revoked, all of it goes":                        {twist: with(answered, state(plan.Revoked)), want: plan.Plan{Do: plan.RetireAll, Why: plan.IsRevoked}},
		"revoked with nothing left, there is no more":    {twist: with(unanswered, state(plan.Revoked)), want: plan.Plan{Why: plan.IsRevoked}},
		"a predecessor goes by the usual rule":           {at: noon.Add(time.Hour), twist: with(answered, old, moved), want: plan.Plan{Do: plan.RetireOne, Why: plan.WentUnused, Version: of("at-1")}},
		"what a crash left unmarked is marked":           {twist: with(answered, func(s *scene) { s.have.Others = append(s.have.Others, version(1, day)) }), want: plan.Plan{Do: plan.Supersede, Why: plan.TookOver, Version: of("at-1"), SupersededAt: noon, ExpiresAt: noon.Add(day)}},
		"the current one and the unanswered get changed": {twist: with(answered, func(s *scene) { s.have.Current.Grants.Suspended = true }), want: changed(plan.GrantsChanged, "at-2", noon.Add(90*day))},
	})
}

func TestARequestRotatesOnceBesideTheTrigger(t *testing.T) {
	asked := func(want, have string) twist {
		return func(s *scene) { s.want.Request, s.have.Current.Request = want, have }
	}
	clone := plan.Plan{Do: plan.Issue, Why: plan.TriggerChanged, Version: of("at-2"), ExpiresAt: noon.Add(90 * day)}
	rest := plan.Plan{Why: plan.UpToDate, Wake: noon.Add(30 * day)}
	rule(t, map[string]ruling{
		"a request is a trigger":                  {twist: asked("a", ""), want: clone},
		"another one is one more":                 {twist: asked("b", "a"), want: clone},
		"the same one is done":                    {twist: asked("a", "a"), want: rest},
		"its withdrawal is none":                  {twist: asked("", "a"), want: rest},
		"a trigger counts though it is withdrawn": {twist: both(asked("", "a"), func(s *scene) { s.want.Trigger = "2" }), want: clone},
		"both together are one":                   {twist: both(asked("b", "a"), func(s *scene) { s.want.Trigger = "2" }), want: clone},
	})
}

func TestGrantsOfAnotherUserAreOtherGrants(t *testing.T) {
	rule(t, map[string]ruling{
		"the record gets the user": {twist: func(s *scene) { s.want.Grants.User = "alice" }, want: changed(plan.GrantsChanged, "at-2", noon.Add(90*day))},
	})
}
