package plan_test

import (
	"testing"
	"time"

	"github.com/apptoken/operator/internal/plan"
)

func gone(why plan.Why) plan.Plan {
	return plan.Plan{Do: plan.RetireOne, Why: why, Version: versionNamed("at-1")}
}

func TestRetire_Deadlines(t *testing.T) {
	goes := func(why plan.Why) func(time.Time) plan.Plan {
		return func(time.Time) plan.Plan { return gone(why) }
	}
	waits := func(wake time.Duration) func(time.Time) plan.Plan {
		return func(time.Time) plan.Plan { return plan.Plan{Why: plan.UpToDate, Wake: noon.Add(wake)} }
	}
	retire := func(r plan.Retire) twist { return combined(withPredecessor, func(s *fixture) { s.want.Retire = r }) }
	max := retire(plan.Retire{When: plan.RetireAfterOverlap, Min: 10 * time.Minute, Quiet: time.Hour, Max: day})
	minute := func(n time.Duration) time.Time { return noon.Add(n * time.Minute) }
	own := func(d time.Duration) twist { return func(s *fixture) { s.have.Others[0].ExpiresAt = noon.Add(d) } }

	unproven, proven := withPredecessor, combined(withPredecessor, successorUsed)
	checkDeadlines(t, map[string]deadline{
		"never used, it goes once quiet since the rotation":                {at: minute(60), twist: proven, then: goes(plan.PredecessorUnused)},
		"quiet before the rotation counts for nothing":                     {at: minute(60), twist: combined(proven, used(minute(-300))), then: goes(plan.PredecessorUnused)},
		"used just before the rotation, it is quiet since":                 {at: minute(60), twist: combined(proven, used(minute(-1))), then: goes(plan.PredecessorUnused)},
		"used since, it goes once quiet":                                   {at: minute(65), twist: combined(proven, used(minute(5))), then: goes(plan.PredecessorUnused)},
		"a clock that was behind at the rotation makes no overlap shorter": {at: minute(150), twist: combined(proven, created(minute(90))), then: goes(plan.PredecessorUnused)},
		"the clocks differ a little":                                       {at: minute(60), twist: combined(proven, created(minute(1))), then: goes(plan.PredecessorUnused)},
		"a use that is on its way to the record counts":                    {at: minute(75), twist: combined(proven, func(s *fixture) { s.have.UsesKnownFrom = minute(75) }), then: goes(plan.PredecessorUnused)},
		"used late, it goes at maxOverlap, with a warning":                 {at: noon.Add(day), twist: combined(proven, used(noon.Add(23*time.Hour+time.Second))), then: goes(plan.OverlapOverInUse)},
		"quiet at maxOverlap, it goes without a warning":                   {at: noon.Add(day), twist: combined(proven, used(noon.Add(23*time.Hour))), then: goes(plan.OverlapOver)},
		"used at the very end, it goes":                                    {at: noon.Add(day), twist: combined(proven, used(noon.Add(day-1))), then: goes(plan.OverlapOverInUse)},
		"used in the future of a fast clock, it goes":                      {at: noon.Add(day), twist: combined(proven, used(noon.Add(9*day))), then: goes(plan.OverlapOverInUse)},
		"its successor unused, it stays until maxOverlap":                  {at: noon.Add(day), twist: unproven, then: goes(plan.OverlapOver)},
		"its successor unused, quiet is no evidence":                       {at: noon.Add(day), twist: combined(unproven, used(minute(-300))), then: goes(plan.OverlapOver)},
		"its successor unused, use since the rotation is a warning":        {at: noon.Add(day), twist: combined(unproven, used(minute(5))), then: goes(plan.OverlapOverInUse)},
		"its successor unused, minOverlap shows why it stays":              {at: minute(10), twist: unproven, then: waits(day)},
		"its successor unused, quiet shows another reason":                 {at: minute(65), twist: combined(unproven, used(minute(5))), then: waits(day)},
		"its own end comes before minOverlap":                              {at: minute(5), twist: combined(unproven, own(5*time.Minute)), then: goes(plan.OverlapOver)},
		"its own end, in use":                                              {at: noon.Add(time.Hour), twist: combined(combined(unproven, own(time.Hour)), used(minute(30))), then: goes(plan.OverlapOverInUse)},
		"its own end and minOverlap at once are the end":                   {at: minute(10), twist: combined(proven, own(10*time.Minute)), then: goes(plan.OverlapOver)},
		"maxOverlap below minOverlap rules": {
			at: minute(10), twist: combined(retire(plan.Retire{Min: time.Hour, Max: 10 * time.Minute}), own(10*time.Minute)),
			then: goes(plan.OverlapOver),
		},
		"a long minOverlap counts": {
			at: noon.Add(2 * time.Hour), twist: combined(retire(plan.Retire{Min: 2 * time.Hour, Quiet: time.Hour, Max: day}), successorUsed), then: goes(plan.PredecessorUnused),
		},
		"without minOverlap, it goes once quiet": {
			at: minute(60), twist: combined(combined(retire(plan.Retire{Quiet: time.Hour, Max: day}), used(noon)), successorUsed), then: goes(plan.PredecessorUnused),
		},
		"without quietPeriod, it goes at minOverlap": {
			at: minute(10), twist: combined(combined(retire(plan.Retire{Min: 10 * time.Minute, Max: day}), used(minute(9))), successorUsed), then: goes(plan.PredecessorUnused),
		},
		"AfterOverlap waits for maxOverlap, used or not": {at: noon.Add(day), twist: combined(max, successorUsed), then: goes(plan.OverlapOver)},
		"AfterOverlap warns of use all the same":         {at: noon.Add(day), twist: combined(max, used(noon.Add(day-time.Hour+time.Second))), then: goes(plan.OverlapOverInUse)},
		"refused, it goes all the same":                  {at: minute(60), before: "ClientMissing", twist: combined(proven, refusal), then: goes(plan.PredecessorUnused)},
		"suspended, it goes all the same":                {at: minute(60), before: plan.IsSuspended, twist: combined(proven, state(plan.Suspended)), then: goes(plan.PredecessorUnused)},
		"beside a foreign Secret, it goes all the same": {
			at: minute(60), before: plan.SecretTaken, twist: combined(proven, removedFromSecret(plan.SecretForeign)), then: goes(plan.PredecessorUnused),
		},
		"a shorter overlap counts from supersession": {
			at: minute(30), twist: combined(combined(withPredecessor, own(30*time.Minute)), combined(used(minute(20)), func(s *fixture) { s.want.Retire.Max = 30 * time.Minute })),
			then: goes(plan.OverlapOverInUse),
		},
	})
}

func TestRetire_EachPredecessorInItsTurn(t *testing.T) {
	pair := func(newer, older time.Duration) twist {
		return combined(successorUsed, func(s *fixture) {
			a, b := predecessor(1, newer), predecessor(0, older)
			s.have.Others = []plan.Version{version(9, day), a, b}
		})
	}
	use := func(n int, before time.Duration) twist {
		return func(s *fixture) {
			s.have.Current.LastUsedAt = time.Time{}
			s.have.Others[n].LastUsedAt = noon.Add(-before)
		}
	}
	retired := func(record string) plan.Plan {
		return plan.Plan{Do: plan.RetireOne, Why: plan.PredecessorUnused, Version: versionNamed(record)}
	}
	wakes := func(after time.Duration) plan.Plan { return plan.Plan{Why: plan.UpToDate, Wake: noon.Add(after)} }
	rule(t, map[string]ruleCase{
		"the older one goes, the newer stays":          {twist: pair(0, time.Hour), want: retired("at-0")},
		"both due, the newest goes first":              {twist: pair(time.Hour, 2*time.Hour), want: retired("at-1")},
		"neither due, the first sets the wake-up":      {twist: pair(time.Minute, 2*time.Minute), want: wakes(58 * time.Minute)},
		"a used predecessor is evidence for the older": {twist: combined(pair(0, 2*time.Hour), use(1, 90*time.Minute)), want: retired("at-0")},
		"its own use is no evidence":                   {twist: combined(pair(0, 2*time.Hour), use(2, 90*time.Minute)), want: wakes(10 * time.Minute)},
		"what was not superseded stays, be it ever so old": {
			twist: func(s *fixture) { s.have.Others = []plan.Version{version(9, 80*day)} }, want: atRest,
		},
	})
}

func TestKeptPredecessor_NamesMissingEvidence(t *testing.T) {
	from, to := noon.Add(10*time.Minute), noon.Add(90*time.Minute)
	older := func(used time.Time) twist {
		return func(s *fixture) {
			v := predecessor(0, time.Minute)
			v.LastUsedAt = used
			s.have.Others = append(s.have.Others, v)
		}
	}
	never := used(time.Time{})
	for name, c := range map[string]struct {
		twist twist
		at    time.Time
		want  string
		why   plan.Why
	}{
		"nothing one instant before minOverlap":           {nil, from.Add(-1), "", ""},
		"use, from minOverlap on":                         {nil, from, "at-1", plan.UsedRecently},
		"use, until one instant before it is quiet":       {nil, to.Add(-1), "at-1", plan.UsedRecently},
		"evidence, once it is quiet":                      {nil, to, "at-1", plan.SuccessorUnused},
		"nothing, once it is quiet and there is evidence": {successorUsed, to, "", ""},
		"use, though there is evidence":                   {successorUsed, to.Add(-1), "at-1", plan.UsedRecently},
		"evidence, of what was never used":                {never, from, "at-1", plan.SuccessorUnused},
		"nothing, of what was never used with evidence":   {combined(never, successorUsed), from, "", ""},
		"use before the rotation, until it is quiet since": {
			used(noon.Add(-5 * time.Hour)), noon.Add(time.Hour - 1), "at-1", plan.UsedRecently,
		},
		"evidence, once it is quiet since the rotation": {used(noon.Add(-5 * time.Hour)), noon.Add(time.Hour), "at-1", plan.SuccessorUnused},
		"nothing where AfterOverlap does not ask":       {func(s *fixture) { s.want.Retire.When = plan.RetireAfterOverlap }, from, "", ""},
		"nothing of what was not superseded":            {func(s *fixture) { s.have.Others[0].SupersededAt = time.Time{} }, from, "", ""},
		"the newest of two in use":                      {older(noon), from, "at-1", plan.UsedRecently},
		"the older one in use, before the newer unused": {combined(never, older(noon)), from, "at-0", plan.UsedRecently},
		"the newest of two without evidence":            {combined(never, older(time.Time{})), from, "at-1", plan.SuccessorUnused},
	} {
		t.Run(name, func(t *testing.T) {
			s := base(withPredecessor, used(noon.Add(30*time.Minute)), c.twist)
			k, ok := plan.KeptPredecessor(c.at, s.want, s.have)
			if k.Version.Record != c.want || k.Why != c.why || ok != (c.want != "") {
				t.Errorf("at %s: %q, %q, %v", formatTime(c.at), k.Version.Record, k.Why, ok)
			}
		})
	}
}

func TestKeptPredecessor_UnknownSource(t *testing.T) {
	by := func(addresses ...string) []plan.Version {
		var used []plan.Version
		for _, from := range addresses {
			used = append(used, plan.Version{LastUsedAt: noon, LastUsedFrom: from})
		}
		return used
	}
	for name, c := range map[string]struct {
		from    string
		ifAfter []plan.Version
		want    bool
	}{
		"the same address":                  {"10.1.2.3", by("10.1.2.3"), false},
		"another address":                   {"10.1.2.3", by("10.1.2.4"), true},
		"the same address of one successor": {"10.1.2.3", by("10.1.2.4", "10.1.2.3"), false},
		"an unknown address":                {"", by("10.1.2.4"), false},
		"no used successor":                 {"10.1.2.3", nil, false},
	} {
		k := plan.KeptVersion{Version: plan.Version{LastUsedAt: noon, LastUsedFrom: c.from}, Successors: c.ifAfter}
		if got := k.HasUnknownSource(); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
