package plan_test

import (
	"testing"
	"time"

	"github.com/apptoken/operator/internal/plan"
)

// TestForRecord creates each record at noon. A record is old at noon plus LitterAge, a superseded
// record at LitterAge after its end.
func TestForRecord(t *testing.T) {
	young, old := noon.Add(plan.LitterAge-1), noon.Add(plan.LitterAge)
	fresh, aged, endless := version(2, 0), predecessor(1, 0), predecessor(1, 0)
	endless.ExpiresAt = time.Time{}
	slow, slower, restored := version(2, 2*time.Second), version(2, 2*time.Second+1), version(2, day)
	dead := version(2, 0)
	dead.ExpiresAt = noon
	ended := aged.ExpiresAt
	here := plan.Owner{Exists: true}

	keep := func(why plan.Why, wake time.Time) plan.Plan { return plan.Plan{Why: why, Wake: wake} }
	end := func(why plan.Why, v plan.Version) plan.Plan {
		return plan.Plan{Do: plan.RetireOne, Why: why, Version: v}
	}
	for name, c := range map[string]struct {
		at    time.Time
		v     plan.Version
		owner plan.Owner
		want  plan.Plan
	}{
		"its owner was there at its issue, and is gone":            {noon, fresh, plan.Owner{}, end(plan.OwnerGone, fresh)},
		"also for a clock that is behind the issue":                {noon, version(2, -time.Minute), plan.Owner{}, end(plan.OwnerGone, version(2, -time.Minute))},
		"one instant before its creation, by another clock":        {noon.Add(-1), fresh, plan.Owner{}, keep(plan.OwnerGone, noon)},
		"two seconds are on the way at its issue":                  {noon, slow, plan.Owner{}, end(plan.OwnerGone, slow)},
		"what takes longer is from a backup, its owner may follow": {noon, slower, plan.Owner{}, keep(plan.OwnerGone, old)},
		"one instant short of old, its owner may still come":       {young, restored, plan.Owner{}, keep(plan.OwnerGone, old)},
		"old and without an owner, it goes":                        {old, restored, plan.Owner{}, end(plan.OwnerGone, restored)},
		"and after":                                                {old.Add(1), restored, plan.Owner{}, end(plan.OwnerGone, restored)},
		"a predecessor without an owner goes likewise":             {old, aged, plan.Owner{}, end(plan.OwnerGone, aged)},
		"and may still be claimed likewise":                        {young, aged, plan.Owner{}, keep(plan.OwnerGone, old)},
		"an owner that is gone delivers nothing": {
			noon, fresh, plan.Owner{Delivered: true, Pending: true, PredecessorOfCurrent: true}, end(plan.OwnerGone, fresh),
		},

		"a record just made may be on its way to the Secret": {noon, fresh, here, keep(plan.Litter, old)},
		"one instant short of old, it may still arrive":      {young, fresh, here, keep(plan.Litter, old)},
		"old and never delivered, it goes":                   {old, fresh, here, end(plan.Litter, fresh)},
		"and long after":                                     {old.Add(day), fresh, here, end(plan.Litter, fresh)},

		"in the Secret, it is its owner's business":       {old.Add(day), fresh, plan.Owner{Exists: true, Delivered: true}, keep(plan.UpToDate, time.Time{})},
		"expired in the Secret, it stays as the reason":   {old, dead, plan.Owner{Exists: true, Delivered: true}, keep(plan.UpToDate, time.Time{})},
		"without a Secret, the next pass says what it is": {old.Add(day), fresh, plan.Owner{Exists: true, Pending: true}, keep(plan.UpToDate, time.Time{})},
		"about to be superseded, it gets its overlap": {
			old.Add(day), fresh, plan.Owner{Exists: true, PredecessorOfCurrent: true}, keep(plan.UpToDate, time.Time{}),
		},

		"a predecessor is its owner's until its end":       {noon, aged, here, keep(plan.LifeOver, ended.Add(plan.LitterAge))},
		"at its end, its owner retires it":                 {ended, aged, here, keep(plan.LifeOver, ended.Add(plan.LitterAge))},
		"one instant before its owner is late":             {ended.Add(plan.LitterAge - 1), aged, here, keep(plan.LifeOver, ended.Add(plan.LitterAge))},
		"where its owner is late, we do":                   {ended.Add(plan.LitterAge), aged, here, end(plan.LifeOver, aged)},
		"and after that":                                   {ended.Add(plan.LitterAge + 1), aged, here, end(plan.LifeOver, aged)},
		"though the owner has no Secret":                   {ended.Add(plan.LitterAge), aged, plan.Owner{Exists: true, Pending: true}, end(plan.LifeOver, aged)},
		"a superseded record without an end waits for one": {old.Add(900 * day), endless, here, keep(plan.UpToDate, time.Time{})},
	} {
		t.Run(name, func(t *testing.T) {
			got := plan.ForRecord(c.at, noon, c.v, c.owner)
			if say(got) != say(c.want) || got.Do == plan.RetireOne && !seen(plan.Observed{Current: &c.v}, got.Version) {
				t.Errorf("at %s\n got %s\nwant %s", when(c.at), say(got), say(c.want))
			}
		})
	}
}
