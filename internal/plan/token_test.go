package plan_test

import (
	"strings"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/plan"
)

// ruleCase is a case for ForToken, evaluated at noon by default.
type ruleCase struct {
	at    time.Time
	twist twist
	want  plan.Plan
}

// rule checks the plan of ForToken for each case.
func rule(t *testing.T, cases map[string]ruleCase) {
	t.Helper()
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if c.at.IsZero() {
				c.at = noon
			}
			checkForToken(t, c.at, base(c.twist), c.want)
		})
	}
}

var (
	atRest   = plan.Plan{Why: plan.UpToDate, Wake: noon.Add(30 * day)}
	revoked  = plan.Plan{Do: plan.RetireAll, Why: plan.IsRevoked}
	taken    = plan.Plan{Why: plan.SecretTaken, Wake: noon.Add(plan.ForeignSecretInterval)}
	longLife = noon.Add(90 * day)
)

func TestRevoke_EndsEverything(t *testing.T) {
	gone := func(found plan.SecretState) twist {
		return func(s *fixture) { s.want.State, s.have = plan.Revoked, plan.Observed{Secret: found} }
	}
	rule(t, map[string]ruleCase{
		"a token at rest sleeps until its rotation":           {want: atRest},
		"a revoked token ends everything":                     {twist: state(plan.Revoked), want: revoked},
		"its predecessors end with it":                        {twist: combined(recordDeleted, combined(withPredecessor, state(plan.Revoked))), want: revoked},
		"its records end though the Secret is foreign":        {twist: combined(removedFromSecret(plan.SecretForeign), state(plan.Revoked)), want: revoked},
		"its records end though the Secret is gone":           {twist: combined(removedFromSecret(plan.SecretAbsent), state(plan.Revoked)), want: revoked},
		"an altered Secret of a revoked token goes":           {twist: gone(plan.SecretAltered), want: revoked},
		"a Secret without a record is deleted":                {twist: gone(plan.SecretRecordMissing), want: revoked},
		"revoked and gone, there is nothing left to do":       {twist: gone(plan.SecretAbsent), want: plan.Plan{Why: plan.IsRevoked}},
		"a foreign Secret is not a revoked token's to delete": {twist: gone(plan.SecretForeign), want: plan.Plan{Why: plan.IsRevoked}},
	})
}

func TestSupersede_CountsFromSuccessorIssue(t *testing.T) {
	crashed := func(change func(*plan.Version)) twist {
		return func(s *fixture) {
			v := version(1, 30*day)
			if change != nil {
				change(&v)
			}
			s.have.Others = []plan.Version{v}
		}
	}
	took := func(end time.Time) plan.Plan {
		return plan.Plan{Do: plan.Supersede, Why: plan.Superseded, Version: versionNamed("at-1"), SupersededAt: noon, ExpiresAt: end}
	}
	rule(t, map[string]ruleCase{
		"a predecessor gets its last instant":                            {twist: crashed(nil), want: took(noon.Add(day))},
		"it counts from the successor's issue, however late the pass is": {at: noon.Add(2 * day), twist: crashed(nil), want: took(noon.Add(day))},
		"its own end stays where that is sooner": {
			twist: crashed(func(v *plan.Version) { v.ExpiresAt = noon.Add(time.Hour) }), want: took(noon.Add(time.Hour)),
		},
		"one that never expired expires now": {twist: crashed(func(v *plan.Version) { v.ExpiresAt = time.Time{} }), want: took(noon.Add(day))},
		"one that was superseded is left":    {twist: withPredecessor, want: plan.Plan{Why: plan.UpToDate, Wake: noon.Add(10 * time.Minute)}},
		"a record that is not the predecessor is an orphan, and not ended here": {
			twist: crashed(func(v *plan.Version) { v.Record = "at-9" }), want: atRest,
		},
		"without a current version there is no successor": {
			twist: combined(crashed(nil), removedFromSecret(plan.SecretForeign)), want: taken,
		},
	})
}

func TestIssue_BlockedByRefusalSuspensionOrForeignSecret(t *testing.T) {
	rule(t, map[string]ruleCase{
		"a refused spec waits for its edit":   {twist: refusal, want: plan.Plan{Why: "ClientMissing", Wake: longLife.Add(-7 * day)}},
		"a refused first issue makes nothing": {twist: combined(removedFromSecret(plan.SecretAbsent), refusal), want: plan.Plan{Why: "ClientMissing"}},
		"a refused spec still wakes for its predecessors": {
			twist: combined(withPredecessor, refusal), want: plan.Plan{Why: "ClientMissing", Wake: noon.Add(10 * time.Minute)},
		},
		"a suspended token waits for its edit": {twist: state(plan.Suspended), want: plan.Plan{Why: plan.IsSuspended, Wake: longLife.Add(-7 * day)}},
		"a suspended token still wakes for its predecessors": {
			twist: combined(withPredecessor, state(plan.Suspended)), want: plan.Plan{Why: plan.IsSuspended, Wake: noon.Add(10 * time.Minute)},
		},
		"a foreign Secret is not touched, and looked for again": {twist: removedFromSecret(plan.SecretForeign), want: taken},
		"beside it the predecessors go on ageing": {
			at: noon.Add(9*time.Minute + 30*time.Second), twist: combined(withPredecessor, removedFromSecret(plan.SecretForeign)),
			want: plan.Plan{Why: plan.SecretTaken, Wake: noon.Add(10 * time.Minute)},
		},
	})
}

func TestSecretMissing_SupersedesThenIssues(t *testing.T) {
	absent := func(others ...plan.Version) twist {
		return func(s *fixture) { s.have = plan.Observed{Others: others} }
	}
	altered := func(s *fixture) { s.have.Secret = plan.SecretAltered }
	ended := func(record string) plan.Plan {
		return plan.Plan{Do: plan.Supersede, Why: plan.Superseded, Version: versionNamed(record), SupersededAt: noon, ExpiresAt: noon.Add(day)}
	}
	issued := func(why plan.Why, last string) plan.Plan {
		return plan.Plan{Do: plan.Issue, Why: why, Version: versionNamed(last), ExpiresAt: longLife}
	}
	rule(t, map[string]ruleCase{
		"the first pass issues":                             {twist: absent(), want: issued(plan.FirstIssue, "")},
		"without a lifetime it does not expire":             {twist: combined(absent(), func(s *fixture) { s.want.Lifetime = 0 }), want: plan.Plan{Do: plan.Issue, Why: plan.FirstIssue}},
		"the version of a deleted Secret gets its overlap":  {twist: removedFromSecret(plan.SecretAbsent), want: ended("at-2")},
		"the version of an altered Secret gets its overlap": {twist: removedFromSecret(plan.SecretAltered), want: ended("at-2")},
		"every record that could be it gets its overlap":    {twist: absent(predecessor(3, 0), version(2, day)), want: ended("at-2")},
		"then comes its successor":                          {twist: absent(predecessor(2, 0), predecessor(1, 0)), want: issued(plan.SecretGone, "at-2")},
		"altered, it says so":                               {twist: combined(absent(predecessor(2, 0)), altered), want: issued(plan.SecretChanged, "at-2")},
		"altered with no record, it says so":                {twist: combined(absent(), altered), want: issued(plan.SecretChanged, "")},
		"three predecessors are kept": {
			twist: absent(predecessor(4, 0), predecessor(3, 0), predecessor(2, 0)), want: issued(plan.SecretGone, "at-4"),
		},
		"the fourth makes room, the oldest first": {
			twist: absent(predecessor(5, 0), predecessor(4, 0), predecessor(3, 0), predecessor(2, 0)),
			want:  plan.Plan{Do: plan.RetireOne, Why: plan.TooManyPredecessors, Version: versionNamed("at-2")},
		},
		"its own end stays where that is sooner": {
			at: noon.Add(90*day - time.Hour), twist: removedFromSecret(plan.SecretAbsent),
			want: plan.Plan{Do: plan.Supersede, Why: plan.Superseded, Version: versionNamed("at-2"), SupersededAt: noon.Add(90*day - time.Hour), ExpiresAt: longLife},
		},
	})
}

func TestRecordMissing_ReplacedNeverRevived(t *testing.T) {
	rule(t, map[string]ruleCase{
		"a Secret without a record is replaced, not revived": {
			twist: recordDeleted, want: plan.Plan{Do: plan.Issue, Why: plan.RecordMissing, ExpiresAt: longLife},
		},
		"a deleted record has no overlap: the predecessor is not named": {
			twist: combined(withPredecessor, recordDeleted), want: plan.Plan{Do: plan.Issue, Why: plan.RecordMissing, ExpiresAt: longLife},
		},
		"a trigger that changed as well makes the same one version": {
			twist: combined(recordDeleted, func(s *fixture) { s.want.Trigger = "2" }), want: plan.Plan{Do: plan.Issue, Why: plan.RecordMissing, ExpiresAt: longLife},
		},
	})
}

func TestRotate_TriggerClonesOrWaits(t *testing.T) {
	triggered := func(s *fixture) { s.want.Trigger = "2" }
	withPredecessors := func(n int64) twist {
		return func(s *fixture) {
			for i := n; i > 0; i-- {
				s.have.Others = append(s.have.Others, predecessor(i-2, 0))
			}
		}
	}
	busy := func(s *fixture) {
		for i := range s.have.Others {
			s.have.Others[i].LastUsedAt = noon
		}
	}
	clone := plan.Plan{Do: plan.Issue, Why: plan.TriggerChanged, Version: versionNamed("at-2"), ExpiresAt: longLife}
	rule(t, map[string]ruleCase{
		"a changed trigger clones at once":           {twist: triggered, want: clone},
		"a trigger that was taken away is a change":  {twist: func(s *fixture) { s.want.Trigger = "" }, want: clone},
		"a trigger clones what nothing else rotates": {twist: combined(triggered, withoutSchedule), want: clone},
		"the clone of a token without lifetime stays so": {
			twist: combined(triggered, func(s *fixture) { s.want.Lifetime, s.have.Current.ExpiresAt = 0, time.Time{} }),
			want:  plan.Plan{Do: plan.Issue, Why: plan.TriggerChanged, Version: versionNamed("at-2")},
		},
		"a predecessor within its minOverlap defers it": {
			at: noon.Add(10*time.Minute - 1), twist: combined(triggered, withPredecessors(1)),
			want: plan.Plan{Why: plan.RotationPending, Wake: noon.Add(10 * time.Minute)},
		},
		"minOverlap counts from the successor's creation where the clock was behind": {
			at: noon.Add(time.Hour), twist: combined(combined(triggered, withPredecessors(1)), func(s *fixture) {
				s.have.Others[0].Record, s.have.Current.CreatedAt = "at-1", noon.Add(time.Hour)
			}),
			want: plan.Plan{Why: plan.RotationPending, Wake: noon.Add(70 * time.Minute)},
		},
		"two predecessors after that leave room": {
			at: noon.Add(10 * time.Minute), twist: combined(triggered, withPredecessors(2)),
			want: plan.Plan{Do: plan.Issue, Why: plan.TriggerChanged, Version: versionNamed("at-2"), ExpiresAt: longLife.Add(10 * time.Minute)},
		},
		"a predecessor by a holder defers holders alone": {
			twist: combined(combined(triggered, withPredecessors(1)), func(s *fixture) {
				s.have.Others[0].Record, s.have.Current.AuthorizedAt = "at-1", noon.Add(-day)
				s.have.Current.ExpiresAt = noon.Add(89 * day)
			}), want: clone,
		},
		"a record that was deleted is replaced at once": {
			twist: combined(withPredecessors(1), recordDeleted), want: plan.Plan{Do: plan.Issue, Why: plan.RecordMissing, ExpiresAt: longLife},
		},
		"a third leaves none": {twist: combined(triggered, withPredecessors(3)), want: plan.Plan{Why: plan.RotationPending, Wake: noon.Add(10 * time.Minute)}},
		"a third in use leaves none after its minOverlap": {
			at: noon.Add(10 * time.Minute), twist: combined(combined(triggered, withPredecessors(3)), busy),
			want: plan.Plan{Why: plan.RotationPending, Wake: noon.Add(time.Hour)},
		},
		"orphans take no room": {
			twist: combined(triggered, func(s *fixture) {
				s.have.Others = []plan.Version{version(9, 0), version(8, 0), version(7, 0), version(6, 0)}
			}), want: clone,
		},
		"an outdated Secret is written anew, the token stays": {
			twist: func(s *fixture) { s.have.Secret = plan.SecretOutdated },
			want:  plan.Plan{Do: plan.Render, Why: plan.TemplateChanged, Version: versionNamed("at-2")},
		},
	})
}

func TestMessages_NameRemedy(t *testing.T) {
	for name, c := range map[string]struct {
		twist twist
		at    time.Time
		words []string
	}{
		"revoked":          {twist: state(plan.Revoked), words: []string{"Revoked", "declare a new one"}},
		"suspended":        {twist: state(plan.Suspended), words: []string{"spec.state", "Active"}},
		"a refusal speaks": {twist: refusal, words: []string{"create the Client acme"}},
		"expired, with the instant in UTC": {
			twist: combined(withoutSchedule, func(s *fixture) { s.have.Current.ExpiresAt = longLife.In(time.FixedZone("", 3600)) }), at: longLife,
			words: []string{"2026-05-31T12:00:00Z", "spec.rotation.trigger"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := base(c.twist)
			if c.at.IsZero() {
				c.at = noon
			}
			got := plan.ForToken(c.at, s.want, s.have).Message
			for _, w := range c.words {
				if !strings.Contains(got, w) {
					t.Errorf("%q does not say %q", got, w)
				}
			}
		})
	}
}
