package plan_test

import (
	"testing"
	"time"

	"github.com/apptoken/operator/internal/plan"
)

// created sets the API server's creation date of the current version.
func created(at time.Time) twist { return func(s *fixture) { s.have.Current.CreatedAt = at } }

// ahead makes a clock that was ahead by d issue the current version. Its lifetime is 90 days from
// there.
func ahead(d time.Duration) twist {
	return func(s *fixture) {
		s.have.Current.IssuedAt, s.have.Current.ExpiresAt = noon.Add(d), noon.Add(90*day+d)
	}
}

func TestRotate_VersionIssuedAheadIsDue(t *testing.T) {
	year := 365 * day
	due := plan.Plan{Do: plan.Issue, Why: plan.IssuedAhead, Version: versionNamed("at-2"), ExpiresAt: longLife}
	noLifetime := func(s *fixture) { s.want.Lifetime, s.have.Current.ExpiresAt = 0, time.Time{} }
	rule(t, map[string]ruleCase{
		"a minute ahead is as clocks go":  {twist: ahead(time.Minute), want: plan.Plan{Why: plan.UpToDate, Wake: noon.Add(30*day + time.Minute)}},
		"more than a minute is not":       {twist: ahead(time.Minute + 1), want: due},
		"a year is not":                   {twist: ahead(year), want: due},
		"though nothing else asks for it": {twist: combined(ahead(year), withoutSchedule), want: due},
		"an interval without a lifetime":  {twist: combined(ahead(year), noLifetime), want: plan.Plan{Do: plan.Issue, Why: plan.IssuedAhead, Version: versionNamed("at-2")}},
		"created before its issue":        {twist: combined(ahead(year), created(noon)), want: due},
		"created at its issue, so that the clock of now is behind": {
			twist: combined(ahead(year), created(noon.Add(year))),
			want:  plan.Plan{Why: plan.UpToDate, Wake: noon.Add(year + 30*day)},
		},
		"without either its age is no matter": {twist: combined(ahead(year), combined(noLifetime, withoutSchedule)), want: plan.Plan{Why: plan.UpToDate}},
		"a trigger comes first": {
			twist: combined(ahead(year), func(s *fixture) { s.want.Trigger = "2" }),
			want:  plan.Plan{Do: plan.Issue, Why: plan.TriggerChanged, Version: versionNamed("at-2"), ExpiresAt: longLife},
		},
		"not while suspended": {
			twist: combined(ahead(year), state(plan.Suspended)), want: plan.Plan{Why: plan.IsSuspended, Wake: noon.Add(year + 90*day - plan.MaxExpiryNotice)},
		},
		"a rotation by a holder does not keep it": {
			twist: func(s *fixture) {
				s.have.Current.AuthorizedAt, s.have.Current.ExpiresAt = noon.Add(year), noon.Add(year+90*day)
			}, want: due,
		},
	})
}

func TestRotate_VersionWithoutSuccessorIsRedated(t *testing.T) {
	year := 365 * day
	redated := changed(plan.IssuedAhead, "at-2", noon.Add(90*day))
	rule(t, map[string]ruleCase{
		"it was delivered in a response": {twist: combined(deliveredInResponse, ahead(year)), want: redated},
		"the spec is refused":            {twist: combined(refusal, ahead(year)), want: redated},
		"a minute ahead is as clocks go": {twist: combined(refusal, ahead(time.Minute)), want: plan.Plan{Why: "ClientMissing", Wake: noon.Add(90*day + time.Minute - plan.MaxExpiryNotice)}},
		"what has no end gets none":      {twist: combined(combined(deliveredInResponse, ahead(year)), func(s *fixture) { s.have.Current.ExpiresAt, s.want.Lifetime = time.Time{}, 0 }), want: changed(plan.IssuedAhead, "at-2", time.Time{})},
		"a lifetime that began before stays": {twist: combined(combined(deliveredInResponse, ahead(year)), func(s *fixture) {
			s.have.Current.AuthorizedAt, s.have.Current.ExpiresAt = noon.Add(-day), noon.Add(89*day)
		}), want: changed(plan.IssuedAhead, "at-2", noon.Add(89*day))},
	})
	for name, twist := range map[string]twist{"delivered": deliveredInResponse, "refused": refusal} {
		s := base(twist, ahead(year))
		if p := plan.ForToken(noon, s.want, s.have); !p.IssuedAt.Equal(noon) {
			t.Errorf("%s: the issue is %s", name, formatTime(p.IssuedAt))
		}
	}
}

func TestSupersede_NeverCountsFromFuture(t *testing.T) {
	rule(t, map[string]ruleCase{
		"a successor that was issued ahead": {
			twist: combined(ahead(9*day), func(s *fixture) { s.have.Others = []plan.Version{version(1, day)} }),
			want:  plan.Plan{Do: plan.Supersede, Why: plan.Superseded, Version: versionNamed("at-1"), SupersededAt: noon, ExpiresAt: noon.Add(day)},
		},
		"a predecessor that was marked ahead": {
			twist: combined(withPredecessor, func(s *fixture) {
				s.have.Others[0].SupersededAt, s.have.Others[0].ExpiresAt = noon.Add(9*day), noon.Add(10*day)
			}),
			want: plan.Plan{Do: plan.Supersede, Why: plan.Superseded, Version: versionNamed("at-1"), SupersededAt: noon, ExpiresAt: noon.Add(day)},
		},
		"a successor created at the supersession, so that the clock of now is behind": {
			twist: combined(combined(withPredecessor, created(noon.Add(9*day))), func(s *fixture) {
				s.have.Current.Predecessor = "at-1"
				s.have.Others[0].SupersededAt, s.have.Others[0].ExpiresAt = noon.Add(9*day), noon.Add(10*day)
			}),
			want: plan.Plan{Why: plan.UpToDate, Wake: noon.Add(9*day + 10*time.Minute)},
		},
		"its own end stays": {
			twist: combined(withPredecessor, func(s *fixture) {
				s.have.Others[0].SupersededAt, s.have.Others[0].ExpiresAt = noon.Add(9*day), noon.Add(time.Hour)
			}),
			want: plan.Plan{Do: plan.Supersede, Why: plan.Superseded, Version: versionNamed("at-1"), SupersededAt: noon, ExpiresAt: noon.Add(time.Hour)},
		},
		"a minute ahead is as clocks go": {
			twist: combined(withPredecessor, func(s *fixture) {
				s.have.Others[0].SupersededAt, s.have.Others[0].ExpiresAt = noon.Add(time.Minute), noon.Add(day+time.Minute)
			}),
			want: plan.Plan{Why: plan.UpToDate, Wake: noon.Add(11 * time.Minute)},
		},
	})
}

func TestRequest_VersionIssuedAheadIsNoRetry(t *testing.T) {
	s := base(deliveredInResponse, ahead(9*day), func(s *fixture) { s.have.Current.Request = "a" })
	if p := plan.ForRequest(noon, s.want, s.have, plan.Request{ID: "a"}); p.Why != plan.RequestDone {
		t.Errorf("got %s", formatPlan(p))
	}
}

func TestSelfRotation_IssueAheadDoesNotPostponeNext(t *testing.T) {
	s := base(func(s *fixture) {
		s.want.SelfRequest = "at-2"
		p := predecessor(1, 10*time.Minute)
		p.IssuedAt, p.AuthorizedAt = noon.Add(9*day), noon.Add(9*day)
		s.have.Others = []plan.Version{p}
	})
	if p := plan.ForRequest(noon, s.want, s.have, plan.Request{ID: "b", Holder: "at-2"}); p.Do != plan.Issue {
		t.Errorf("got %s", formatPlan(p))
	}
}

func TestUser_IssueAheadIsNoEvidence(t *testing.T) {
	s := base(ahead(9*day), func(s *fixture) {
		s.want.Grants.User, s.want.User = "alice", plan.User{UID: "new", CreatedAt: noon.Add(-time.Hour)}
		s.have.Current.Grants.User, s.have.Current.CreatedAt = "alice", noon.Add(-day)
	})
	checkForToken(t, noon, s, plan.Plan{Do: plan.RetireOne, Why: plan.UserReplaced, Version: versionNamed("at-2")})
}
