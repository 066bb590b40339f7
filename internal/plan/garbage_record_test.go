package plan_test

import (
	"testing"
	"time"

	"github.com/apptoken/operator/internal/plan"
)

// TestForRecord_RetiresOrphansAndExpired creates each record at noon. A record is old at noon plus
// OrphanAge, a superseded record at OrphanAge after its end.
func TestForRecord_RetiresOrphansAndExpired(t *testing.T) {
	young, old := noon.Add(plan.OrphanAge-1), noon.Add(plan.OrphanAge)
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
		"its owner was there at its issue, and is gone":            {noon, fresh, plan.Owner{}, end(plan.OwnerMissing, fresh)},
		"also for a clock that is behind the issue":                {noon, version(2, -time.Minute), plan.Owner{}, end(plan.OwnerMissing, version(2, -time.Minute))},
		"one instant before its creation, by another clock":        {noon.Add(-1), fresh, plan.Owner{}, keep(plan.OwnerMissing, noon)},
		"two seconds are on the way at its issue":                  {noon, slow, plan.Owner{}, end(plan.OwnerMissing, slow)},
		"what takes longer is from a backup, its owner may follow": {noon, slower, plan.Owner{}, keep(plan.OwnerMissing, old)},
		"one instant short of old, its owner may still come":       {young, restored, plan.Owner{}, keep(plan.OwnerMissing, old)},
		"old and without an owner, it goes":                        {old, restored, plan.Owner{}, end(plan.OwnerMissing, restored)},
		"and after":                                                {old.Add(1), restored, plan.Owner{}, end(plan.OwnerMissing, restored)},
		"a predecessor without an owner goes likewise":             {old, aged, plan.Owner{}, end(plan.OwnerMissing, aged)},
		"and may still be claimed likewise":                        {young, aged, plan.Owner{}, keep(plan.OwnerMissing, old)},
		"an owner that is gone delivers nothing": {
			noon, fresh, plan.Owner{Delivered: true, Pending: true, PredecessorOfCurrent: true}, end(plan.OwnerMissing, fresh),
		},

		"a record just made may be on its way to the Secret": {noon, fresh, here, keep(plan.Orphan, old)},
		"one instant short of old, it may still arrive":      {young, fresh, here, keep(plan.Orphan, old)},
		"old and never delivered, it goes":                   {old, fresh, here, end(plan.Orphan, fresh)},
		"and long after":                                     {old.Add(day), fresh, here, end(plan.Orphan, fresh)},

		"in the Secret, it is its owner's business":       {old.Add(day), fresh, plan.Owner{Exists: true, Delivered: true}, keep(plan.UpToDate, time.Time{})},
		"expired in the Secret, it stays as the reason":   {old, dead, plan.Owner{Exists: true, Delivered: true}, keep(plan.UpToDate, time.Time{})},
		"without a Secret, the next pass says what it is": {old.Add(day), fresh, plan.Owner{Exists: true, Pending: true}, keep(plan.UpToDate, time.Time{})},
		"about to be superseded, it gets its overlap": {
			old.Add(day), fresh, plan.Owner{Exists: true, PredecessorOfCurrent: true}, keep(plan.UpToDate, time.Time{}),
		},

		"a predecessor is its owner's until its end":       {noon, aged, here, keep(plan.RecordExpired, ended.Add(plan.OrphanAge))},
		"at its end, its owner retires it":                 {ended, aged, here, keep(plan.RecordExpired, ended.Add(plan.OrphanAge))},
		"one instant before its owner is late":             {ended.Add(plan.OrphanAge - 1), aged, here, keep(plan.RecordExpired, ended.Add(plan.OrphanAge))},
		"where its owner is late, garbage collection does": {ended.Add(plan.OrphanAge), aged, here, end(plan.RecordExpired, aged)},
		"and after that":                                   {ended.Add(plan.OrphanAge + 1), aged, here, end(plan.RecordExpired, aged)},
		"though the owner has no Secret":                   {ended.Add(plan.OrphanAge), aged, plan.Owner{Exists: true, Pending: true}, end(plan.RecordExpired, aged)},
		"a superseded record without an end waits for one": {old.Add(900 * day), endless, here, keep(plan.UpToDate, time.Time{})},
	} {
		t.Run(name, func(t *testing.T) {
			got := plan.ForRecord(c.at, noon, c.v, c.owner)
			if formatPlan(got) != formatPlan(c.want) || got.Do == plan.RetireOne && !seen(plan.Observed{Current: &c.v}, got.Version) {
				t.Errorf("at %s\n got %s\nwant %s", formatTime(c.at), formatPlan(got), formatPlan(c.want))
			}
		})
	}
}
