package plan_test

import (
	"testing"
	"time"

	"github.com/apptoken/operator/internal/plan"
)

// changed returns the plan that changes a record for the reason why.
func changed(why plan.Why, record string, expires time.Time) plan.Plan {
	return plan.Plan{Do: plan.Change, Why: why, Version: versionNamed(record), ExpiresAt: expires}
}

func TestGrants_ChangeInPlace(t *testing.T) {
	edit := func(change func(*plan.Grants)) twist { return func(s *fixture) { change(s.want.Grants) } }
	carry := func(change func(*plan.Grants)) twist { return func(s *fixture) { change(&s.have.Current.Grants) } }
	more := func(g *plan.Grants) { g.Roles = []string{"developer", "primary"} }
	narrow := func(s *fixture) { s.have.Others[0].Grants.Roles = nil }
	now := changed(plan.GrantsChanged, "at-2", longLife)

	rule(t, map[string]ruleCase{
		"a role more":                      {twist: edit(more), want: now},
		"a role fewer":                     {twist: edit(func(g *plan.Grants) { g.Roles = nil }), want: now},
		"another permission":               {twist: edit(func(g *plan.Grants) { g.Permissions = []string{"search.read"} }), want: now},
		"other source ranges":              {twist: edit(func(g *plan.Grants) { g.SourceRanges = []string{"10.0.0.0/9"} }), want: now},
		"another client":                   {twist: edit(func(g *plan.Grants) { g.Client = "umbrella" }), want: now},
		"suspended":                        {twist: edit(func(g *plan.Grants) { g.Suspended = true }), want: now},
		"suspended no more":                {twist: carry(func(g *plan.Grants) { g.Suspended = true }), want: now},
		"no list and an empty one are one": {twist: edit(func(g *plan.Grants) { g.Permissions = []string{} }), want: atRest},
		"what is not known now stays":      {twist: combined(carry(more), func(s *fixture) { s.want.Grants = nil }), want: atRest},
		"the predecessor's follow, and its end stays": {
			twist: combined(withPredecessor, narrow), want: changed(plan.GrantsChanged, "at-1", noon.Add(day)),
		},
		"those of a record out of place follow, and its end stays": {
			twist: func(s *fixture) {
				s.have.Others = []plan.Version{version(9, day)}
				narrow(s)
			}, want: changed(plan.GrantsChanged, "at-9", noon.Add(89*day)),
		},
		"those of a version without its Secret follow": {
			twist: combined(removedFromSecret(plan.SecretForeign), narrow), want: changed(plan.GrantsChanged, "at-2", longLife),
		},
		"the current version comes first":             {twist: combined(combined(withPredecessor, narrow), edit(more)), want: now},
		"a refused spec lessens":                      {twist: combined(refusal, edit(func(g *plan.Grants) { g.Roles = nil })), want: now},
		"a suspended token's change, to be suspended": {twist: combined(state(plan.Suspended), edit(func(g *plan.Grants) { g.Suspended = true })), want: now},
		"grants and lifetime change together": {
			twist: combined(edit(more), func(s *fixture) { s.want.Lifetime = 10 * day }), want: changed(plan.GrantsChanged, "at-2", noon.Add(10*day)),
		},
	})
}

func TestLifetime_ChangesInPlace(t *testing.T) {
	lifetime := func(d time.Duration) twist { return func(s *fixture) { s.want.Lifetime = d } }
	forever := func(s *fixture) { s.have.Current.ExpiresAt = time.Time{} }
	dead := plan.Plan{Why: plan.IsExpired}
	at := func(end time.Time) plan.Plan { return changed(plan.ExpiryChanged, "at-2", end) }

	rule(t, map[string]ruleCase{
		"a longer life":                 {twist: lifetime(100 * day), want: at(noon.Add(100 * day))},
		"a shorter life":                {twist: lifetime(10 * day), want: at(noon.Add(10 * day))},
		"a life without end":            {twist: lifetime(0), want: at(time.Time{})},
		"an end to a life without":      {twist: forever, want: at(longLife)},
		"a life that counts from issue": {at: noon.Add(day), twist: lifetime(10 * day), want: at(noon.Add(10 * day))},
		"a life shorter than its age ends it, and cannot be taken back": {
			at: noon.Add(20 * day), twist: lifetime(10 * day), want: at(noon.Add(10 * day)),
		},
		"the life of a version without its Secret stays": {
			twist: combined(combined(withPredecessor, removedFromSecret(plan.SecretForeign)), lifetime(10*day)),
			want:  taken,
		},
		"a predecessor's end is not of its lifetime": {
			twist: combined(withPredecessor, func(s *fixture) { s.want.Lifetime, s.have.Current.ExpiresAt = 0, time.Time{} }),
			want:  plan.Plan{Why: plan.UpToDate, Wake: noon.Add(10 * time.Minute)},
		},
		"no expiry is moved on the word of a refused spec": {twist: combined(refusal, lifetime(10*day)), want: plan.Plan{Why: "ClientMissing", Wake: longLife.Add(-7 * day)}},
		"one instant before its end a life can be lengthened": {
			at: longLife.Add(-1), twist: combined(withoutSchedule, lifetime(100*day)), want: at(noon.Add(100 * day)),
		},
		"at its end it cannot":                {at: longLife, twist: combined(withoutSchedule, lifetime(100*day)), want: dead},
		"nor after":                           {at: longLife.Add(1), twist: combined(withoutSchedule, lifetime(100*day)), want: dead},
		"nor without end":                     {at: longLife, twist: combined(withoutSchedule, lifetime(0)), want: dead},
		"nor shortened, it is dead as it was": {at: longLife, twist: combined(withoutSchedule, lifetime(day)), want: dead},
	})
}

func TestOverlap_ChangesInPlace(t *testing.T) {
	overlap := func(d time.Duration) twist {
		return combined(withPredecessor, func(s *fixture) { s.want.Retire.Max = d })
	}
	rule(t, map[string]ruleCase{
		"a shorter maxOverlap ends it sooner": {twist: overlap(2 * time.Hour), want: changed(plan.ExpiryChanged, "at-1", noon.Add(2*time.Hour))},
		"also while refused":                  {twist: combined(refusal, overlap(2*time.Hour)), want: changed(plan.ExpiryChanged, "at-1", noon.Add(2*time.Hour))},
		"a longer one lengthens nothing":      {twist: overlap(48 * time.Hour), want: plan.Plan{Why: plan.UpToDate, Wake: noon.Add(10 * time.Minute)}},
		"one that never ended, by whatever accident, ends": {
			twist: combined(withPredecessor, func(s *fixture) { s.have.Others[0].ExpiresAt = time.Time{} }), want: changed(plan.ExpiryChanged, "at-1", noon.Add(day)),
		},
	})
}

func TestRestore_VersionsGetTheirOwner(t *testing.T) {
	back := func(s *fixture) { s.have.Current.Restored = true }
	elder := func(s *fixture) { s.have.Others[0].Restored = true }
	end := noon.Add(90 * day)
	rule(t, map[string]ruleCase{
		"the token stays the same":                  {twist: back, want: changed(plan.OwnerRestored, "at-2", longLife)},
		"its end follows the spec at once":          {twist: combined(back, func(s *fixture) { s.want.Lifetime = 10 * day }), want: changed(plan.OwnerRestored, "at-2", noon.Add(10*day))},
		"the dead stay dead":                        {at: end, twist: combined(withoutSchedule, combined(back, func(s *fixture) { s.want.Lifetime = 0 })), want: changed(plan.OwnerRestored, "at-2", end)},
		"a predecessor too, and its end stays":      {twist: combined(withPredecessor, elder), want: changed(plan.OwnerRestored, "at-1", noon.Add(day))},
		"a version without its Secret too":          {twist: combined(removedFromSecret(plan.SecretAbsent), elder), want: changed(plan.OwnerRestored, "at-2", longLife)},
		"also while refused":                        {twist: combined(back, refusal), want: changed(plan.OwnerRestored, "at-2", longLife)},
		"an owner that was not restored is no news": {want: atRest},
	})
}
