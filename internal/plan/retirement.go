package plan

import "time"

// predecessorMayGo retires what has had its overlap: at the end of maxOverlap, and where use decides, once minOverlap has
// passed and nobody has used it for quietPeriod.
func predecessorMayGo(now time.Time, want Desired, have Observed) (Plan, bool) {
	for _, v := range have.predecessors() {
		switch {
		case !now.Before(lastInstant(v, want.Retire)):
			why := OverlapOver
			if usedRecently(now, v, want.Retire) {
				why = OverlapOverInUse
			}
			return Plan{Do: RetireOne, Why: why, Version: v}, true
		case want.Retire.When == Unused && !now.Before(quietAt(v, want.Retire)):
			return Plan{Do: RetireOne, Why: WentUnused, Version: v}, true
		}
	}
	return Plan{}, false
}

// lastInstant is when a predecessor goes, used or not. It never lies after the end of its own life.
func lastInstant(v Version, r Retire) time.Time {
	return earliest(v.ExpiresAt, v.SupersededAt.Add(r.Max))
}

// quietAt is when a predecessor may go if nobody uses it from now on.
func quietAt(v Version, r Retire) time.Time {
	overlapped := v.SupersededAt.Add(r.Min)
	if quiet := v.LastUsedAt.Add(r.Quiet); !v.LastUsedAt.IsZero() && quiet.After(overlapped) {
		return quiet
	}
	return overlapped
}

func usedRecently(now time.Time, v Version, r Retire) bool {
	return !v.LastUsedAt.IsZero() && now.Before(v.LastUsedAt.Add(r.Quiet))
}

// InUse is the newest predecessor that has had its minOverlap and is kept only since it was used within quietPeriod.
func InUse(now time.Time, want Desired, have Observed) (Version, bool) {
	if want.Retire.When != Unused {
		return Version{}, false
	}
	for _, v := range have.predecessors() {
		if !now.Before(v.SupersededAt.Add(want.Retire.Min)) && usedRecently(now, v, want.Retire) {
			return v, true
		}
	}
	return Version{}, false
}

// nextRetirement is the first instant after now at which a predecessor may go, or is kept by its use alone.
func nextRetirement(now time.Time, want Desired, have Observed) time.Time {
	var wake time.Time
	for _, v := range have.predecessors() {
		wake = earliest(wake, after(now, lastInstant(v, want.Retire)))
		if want.Retire.When == Unused {
			wake = earliest(wake, after(now, v.SupersededAt.Add(want.Retire.Min)))
			wake = earliest(wake, after(now, quietAt(v, want.Retire)))
		}
	}
	return wake
}
