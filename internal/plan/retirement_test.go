package plan_test

import (
	"testing"
	"time"

	"github.com/apptoken/operator/internal/plan"
)

func gone(why plan.Why) plan.Plan {
	return plan.Plan{Do: plan.RetireOne, Why: why, Version: of("at-1")}
}

func TestRetirementDeadlines(t *testing.T) {
	goes := func(why plan.Why) func(time.Time) plan.Plan {
		return func(time.Time) plan.Plan { return gone(why) }
	}
	waits := func(wake time.Duration) func(time.Time) plan.Plan {
		return func(time.Time) plan.Plan { return plan.Plan{Why: plan.UpToDate, Wake: noon.Add(wake)} }
	}
	retire := func(r plan.Retire) twist { return both(aged, func(s *scene) { s.want.Retire = r }) }
	max := retire(plan.Retire{When: plan.AfterOverlap, Min: 10 * time.Minute, Quiet: time.Hour, Max: day})
	minute := func(n time.Duration) time.Time { return noon.Add(n * time.Minute) }
	own := func(d time.Duration) twist { return func(s *scene) { s.have.Others[0].ExpiresAt = noon.Add(d) } }

	meet(t, map[string]deadline{
		"never used, it goes at minOverlap":                 {at: minute(10), twist: aged, then: goes(plan.WentUnused)},
		"used long before, it goes at minOverlap":           {at: minute(10), twist: both(aged, used(minute(-51))), then: goes(plan.WentUnused)},
		"quiet at minOverlap to the instant, it goes":       {at: minute(10), twist: both(aged, used(minute(-50))), then: goes(plan.WentUnused)},
		"quiet a second later, minOverlap shows it in use":  {at: minute(10), twist: both(aged, used(minute(-50).Add(time.Second))), then: waits(10*time.Minute + time.Second)},
		"used before it was superseded, it goes once quiet": {at: minute(59), twist: both(aged, used(minute(-1))), before: plan.UpToDate, then: goes(plan.WentUnused)},
		"used since, it goes once quiet":                    {at: minute(65), twist: both(aged, used(minute(5))), then: goes(plan.WentUnused)},
		"used late, it goes at maxOverlap, with a warning":  {at: noon.Add(day), twist: both(aged, used(noon.Add(23*time.Hour+time.Second))), then: goes(plan.OverlapOverInUse)},
		"quiet at maxOverlap, it went without a warning":    {at: noon.Add(day), twist: both(aged, used(noon.Add(23*time.Hour))), then: goes(plan.OverlapOver)},
		"used at the very end, it goes":                     {at: noon.Add(day), twist: both(aged, used(noon.Add(day-1))), then: goes(plan.OverlapOverInUse)},
		"used in the future of a fast clock, it goes":       {at: noon.Add(day), twist: both(aged, used(noon.Add(9*day))), then: goes(plan.OverlapOverInUse)},
		"its own end comes before minOverlap":               {at: minute(5), twist: both(aged, own(5*time.Minute)), then: goes(plan.OverlapOver)},
		"its own end, in use":                               {at: noon.Add(time.Hour), twist: both(both(aged, own(time.Hour)), used(minute(30))), then: goes(plan.OverlapOverInUse)},
		"its own end and minOverlap at once are the end":    {at: minute(10), twist: both(aged, own(10*time.Minute)), then: goes(plan.OverlapOver)},
		"maxOverlap below minOverlap rules": {
			at: minute(10), twist: both(retire(plan.Retire{Min: time.Hour, Max: 10 * time.Minute}), own(10*time.Minute)),
			then: goes(plan.OverlapOver),
		},
		"without minOverlap, it goes once quiet":         {at: minute(60), twist: both(retire(plan.Retire{Quiet: time.Hour, Max: day}), used(noon)), then: goes(plan.WentUnused)},
		"without quietPeriod, it goes at minOverlap":     {at: minute(10), twist: both(retire(plan.Retire{Min: 10 * time.Minute, Max: day}), used(minute(9))), then: goes(plan.WentUnused)},
		"AfterOverlap waits for maxOverlap, used or not": {at: noon.Add(day), twist: max, then: goes(plan.OverlapOver)},
		"AfterOverlap warns of use all the same":         {at: noon.Add(day), twist: both(max, used(noon.Add(day-time.Hour+time.Second))), then: goes(plan.OverlapOverInUse)},
		"refused, it goes all the same":                  {at: minute(10), before: "ClientMissing", twist: both(aged, refusal), then: goes(plan.WentUnused)},
		"suspended, it goes all the same":                {at: minute(10), before: plan.IsSuspended, twist: both(aged, state(plan.Suspended)), then: goes(plan.WentUnused)},
		"beside a foreign Secret, it goes all the same": {
			at: minute(10), before: plan.SecretTaken, twist: both(aged, lost(plan.SecretForeign)),
			then: func(time.Time) plan.Plan { return gone(plan.WentUnused) },
		},
		"a shorter overlap counts from supersession": {
			at: minute(30), twist: both(both(aged, own(30*time.Minute)), both(used(minute(20)), func(s *scene) { s.want.Retire.Max = 30 * time.Minute })),
			then: goes(plan.OverlapOverInUse),
		},
	})
}

func TestEachPredecessorGoesInItsTurn(t *testing.T) {
	pair := func(newer, older time.Duration) twist {
		return func(s *scene) {
			a, b := predecessor(1, newer), predecessor(0, older)
			s.have.Others = []plan.Version{version(9, day), a, b}
		}
	}
	retired := func(record string) plan.Plan {
		return plan.Plan{Do: plan.RetireOne, Why: plan.WentUnused, Version: of(record)}
	}
	rule(t, map[string]ruling{
		"the older one goes, the newer stays": {twist: pair(0, time.Hour), want: retired("at-0")},
		"both due, the newest goes first":     {twist: pair(time.Hour, 2*time.Hour), want: retired("at-1")},
		"neither due, the first wakes us":     {twist: pair(time.Minute, 2*time.Minute), want: plan.Plan{Why: plan.UpToDate, Wake: noon.Add(8 * time.Minute)}},
		"what was not superseded stays, be it ever so old": {
			twist: func(s *scene) { s.have.Others = []plan.Version{version(9, 80*day)} }, want: atRest,
		},
	})
}

func TestInUse(t *testing.T) {
	from, to := noon.Add(10*time.Minute), noon.Add(90*time.Minute)
	for name, c := range map[string]struct {
		twist twist
		at    time.Time
		want  string
	}{
		"one instant before minOverlap it is not yet news": {nil, from.Add(-1), ""},
		"from minOverlap on, use keeps it":                 {nil, from, "at-1"},
		"and after":                                        {nil, from.Add(1), "at-1"},
		"until one instant before it is quiet":             {nil, to.Add(-1), "at-1"},
		"not once it is quiet":                             {nil, to, ""},
		"nor after":                                        {nil, to.Add(1), ""},
		"never used, it is not":                            {used(time.Time{}), from, ""},
		"AfterOverlap does not ask":                        {func(s *scene) { s.want.Retire.When = plan.AfterOverlap }, from, ""},
		"what was not superseded is not kept by its use":   {func(s *scene) { s.have.Others[0].SupersededAt = time.Time{} }, from, ""},
		"the newest of two": {func(s *scene) {
			v := predecessor(0, time.Minute)
			v.LastUsedAt = noon
			s.have.Others = append(s.have.Others, v)
		}, from, "at-1"},
		"the older, where the newer is quiet": {func(s *scene) {
			v := predecessor(0, time.Minute)
			v.LastUsedAt = noon
			s.have.Others[0].LastUsedAt = time.Time{}
			s.have.Others = append(s.have.Others, v)
		}, from, "at-0"},
	} {
		t.Run(name, func(t *testing.T) {
			s := base(aged, used(noon.Add(30*time.Minute)), c.twist)
			v, ok := plan.InUse(c.at, s.want, s.have)
			if v.Record != c.want || ok != (c.want != "") {
				t.Errorf("at %s: %q, %v", when(c.at), v.Record, ok)
			}
		})
	}
}
