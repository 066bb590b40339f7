package plan

import (
	"slices"
	"time"
)

// Reasons why a predecessor stays after its minOverlap.
const (
	UsedRecently    Why = "UsedRecently"
	SuccessorUnused Why = "SuccessorUnused"
)

// predecessorDue retires a predecessor at the end of its maxOverlap. With Unused, it retires a
// predecessor earlier once there is evidence that its consumers have moved on.
func predecessorDue(now time.Time, want Desired, have Observed) (Plan, bool) {
	for _, v := range have.predecessors() {
		switch {
		case !now.Before(latestRetirement(v, want.Retire)):
			why := OverlapOver
			if endsInUse(now, v, want.Retire, have) {
				why = OverlapOverInUse
			}
			return Plan{Do: RetireOne, Why: why, Version: v}, true
		case !now.Before(retirementTime(v, want.Retire, have)):
			return Plan{Do: RetireOne, Why: PredecessorUnused, Version: v}, true
		}
	}
	return Plan{}, false
}

// latestRetirement returns the instant at which a predecessor is retired, used or not. It is never
// after the predecessor's own expiry.
func latestRetirement(v Version, r Retire) time.Time {
	return earliest(v.ExpiresAt, v.SupersededAt.Add(r.Max))
}

// retirementTime returns when a predecessor is retired if no version is used from now on. The use
// of a successor is the evidence that consumers have moved on. Quiet alone is no evidence, because
// a consumer may call once a day.
func retirementTime(v Version, r Retire, have Observed) time.Time {
	last := latestRetirement(v, r)
	if r.When != RetireUnused || len(have.usedSuccessors(v)) == 0 {
		return last
	}
	known := latest(quietAt(v, r, have), have.UsesKnownFrom) // a use that is not recorded yet counts too
	return earliest(last, latest(have.supersededSince(v).Add(r.Min), known))
}

// quietAt returns when a predecessor has been unused for quietPeriod. Quiet before its supersession
// does not count, because no consumer could have moved on then.
func quietAt(v Version, r Retire, have Observed) time.Time {
	return latest(have.supersededSince(v), v.LastUsedAt).Add(r.Quiet)
}

// supersededSince returns when v was superseded. Where the operator's clock was behind, it returns
// the creation of the successor by the clock of the API server. The overlap would be too short
// otherwise.
func (o Observed) supersededSince(v Version) time.Time {
	if created := o.successorCreated(v); created.After(v.SupersededAt.Add(maxAhead)) {
		return created
	}
	return v.SupersededAt
}

// successorCreated returns when the API server created the record of the last successor of v. The
// zero time means that this is not known.
func (o Observed) successorCreated(v Version) time.Time {
	var created time.Time
	for _, s := range o.versions() {
		if s.Predecessor == v.Record {
			created = latest(created, s.CreatedAt)
		}
	}
	return created
}

// versions returns the current version, if there is one, and the others, newest first.
func (o Observed) versions() []Version {
	if o.Current == nil {
		return o.Others
	}
	return append([]Version{*o.Current}, o.Others...)
}

// usedSuccessors returns the versions after v that have been used, newest first. Each is evidence:
// a consumer that uses a later version has read the Secret after v was replaced in it.
func (o Observed) usedSuccessors(v Version) []Version {
	var used []Version
	for _, s := range o.versions() {
		if s.Number > v.Number && !s.LastUsedAt.IsZero() {
			used = append(used, s)
		}
	}
	return used
}

// endsInUse reports whether v is still in use at its last instant. It is in use if it was used
// within quietPeriod. It is also in use if it was used after its supersession and no successor was
// used.
func endsInUse(now time.Time, v Version, r Retire, have Observed) bool {
	if v.LastUsedAt.IsZero() {
		return false
	}
	return now.Before(v.LastUsedAt.Add(r.Quiet)) || v.LastUsedAt.After(v.SupersededAt) && len(have.usedSuccessors(v)) == 0
}

// KeptVersion is a predecessor that stays after its minOverlap because there is no evidence that
// its consumers have moved on.
type KeptVersion struct {
	Version    Version
	Why        Why
	Successors []Version // those that have been used, newest first
}

// HasUnknownSource reports whether v was last used from an address that is not the last address of
// any used successor.
func (k KeptVersion) HasUnknownSource() bool {
	from := k.Version.LastUsedFrom
	return from != "" && len(k.Successors) > 0 &&
		!slices.ContainsFunc(k.Successors, func(s Version) bool { return s.LastUsedFrom == from })
}

// KeptPredecessor returns the newest predecessor that stays after its minOverlap because it was
// used recently. Where there is none, it returns the newest predecessor that stays because no
// successor was used. It returns false if no predecessor stays for lack of evidence.
func KeptPredecessor(now time.Time, want Desired, have Observed) (KeptVersion, bool) {
	if want.Retire.When != RetireUnused {
		return KeptVersion{}, false
	}
	var unproven KeptVersion
	for _, v := range have.predecessors() {
		if now.Before(have.supersededSince(v).Add(want.Retire.Min)) {
			continue
		}
		used := have.usedSuccessors(v)
		if !v.LastUsedAt.IsZero() && now.Before(quietAt(v, want.Retire, have)) {
			return KeptVersion{v, UsedRecently, used}, true
		}
		if len(used) == 0 && unproven.Why == "" {
			unproven = KeptVersion{v, SuccessorUnused, nil}
		}
	}
	return unproven, unproven.Why != ""
}

// nextRetirement returns the first instant after now at which a predecessor is retired, or at which
// KeptPredecessor changes.
func nextRetirement(now time.Time, want Desired, have Observed) time.Time {
	var wake time.Time
	is, _ := KeptPredecessor(now, want, have)
	for _, v := range have.predecessors() {
		wake = earliest(wake, ifAfter(now, retirementTime(v, want.Retire, have)))
		for _, t := range []time.Time{have.supersededSince(v).Add(want.Retire.Min), quietAt(v, want.Retire, have)} {
			then, _ := KeptPredecessor(t, want, have)
			if then.Why != is.Why || then.Version.Record != is.Version.Record {
				wake = earliest(wake, ifAfter(now, t))
			}
		}
	}
	return wake
}
