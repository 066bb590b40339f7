package plan

import (
	"fmt"
	"slices"
	"time"
)

// Reasons why a rotation is deferred.
const (
	MinOverlap        Why = "MinOverlap"
	PredecessorsKept  Why = "PredecessorsKept"
	RolloutIncomplete Why = "RolloutIncomplete"
)

// deferral is the reason why a rotation is deferred, and until when. The zero deferral defers
// nothing.
type deferral struct {
	until  time.Time // the latest end of the deferral
	reason Why
	text   string
}

// longer returns the deferral that ends last.
func (h deferral) longer(other deferral) deferral {
	if h.until.Before(other.until) {
		return other
	}
	return h
}

// message returns the text for a rotation that is due for the reason why and deferred by h. It
// names the remedy for an administrator who cannot wait.
func (h deferral) message(why Why) string {
	return fmt.Sprintf("A rotation is due (%s) and waits until %s at the latest: %s; after a leak, delete the TokenRecord of the version that leaked",
		why, h.until.UTC().Format(time.RFC3339), h.text)
}

// rotationDeferral returns what defers a rotation for the reason why. A rotation never ends a
// predecessor, and it follows another rotation only after consumers have had time to move on.
func rotationDeferral(now time.Time, why Why, want Desired, have Observed) deferral {
	h := overlapDeferral(why, want, have).longer(rolloutDeferral(want, have))
	if near := nearExpiry(want, *have.Current); !near.IsZero() && near.Before(h.until) {
		h.until = near // consumers need the successor before the current version expires
	}
	if why != SelfRequested {
		return h.longer(roomDeferral(want, have, 0))
	}
	return h.longer(roomDeferral(want, have, 1)).longer(selfRotationDeferral(now, want, have))
}

// roomDeferral defers a rotation until there is room for another predecessor, assuming that no
// version is used from now on. A consumer may hold any of the existing predecessors. The holder of
// a token may be a thief. A rotation by a holder therefore leaves spare predecessors free, so that
// it does not defer the rotations of others.
func roomDeferral(want Desired, have Observed, spare int) deferral {
	n := excess(have) + spare
	if n <= 0 {
		return deferral{}
	}
	var ends []time.Time
	for _, v := range have.predecessors() {
		ends = append(ends, retirementTime(v, want.Retire, have))
	}
	slices.SortFunc(ends, time.Time.Compare)
	text := fmt.Sprintf("consumers may hold any of %d predecessors, and at most %d are kept", len(ends), MaxPredecessors)
	if spare > 0 {
		text += fmt.Sprintf(", of which a holder leaves %d free", spare)
	}
	return deferral{until: ends[n-1], reason: PredecessorsKept, text: text + "; one goes then, or when its TokenRecord is deleted"}
}

// overlapDeferral defers a rotation until every predecessor has had its minOverlap, because its
// consumers may not have read the current version yet. A predecessor whose successor was made for a
// holder defers only the rotations by holders.
func overlapDeferral(why Why, want Desired, have Observed) deferral {
	var until time.Time
	for _, v := range have.predecessors() {
		if why == SelfRequested || !have.isSupersededByHolder(v) {
			until = latest(until, earliest(have.supersededSince(v).Add(want.Retire.Min), latestRetirement(v, want.Retire)))
		}
	}
	return deferral{
		until: until, reason: MinOverlap,
		text: fmt.Sprintf("a predecessor is within its minOverlap of %s", want.Retire.Min),
	}
}

// rolloutDeferral defers a rotation while a rollout is incomplete, because pods may hold a
// predecessor. It ends with the last predecessor.
func rolloutDeferral(want Desired, have Observed) deferral {
	if have.IncompleteRollout == "" {
		return deferral{}
	}
	var until time.Time
	for _, v := range have.predecessors() {
		until = latest(until, latestRetirement(v, want.Retire))
	}
	return deferral{
		until: until, reason: RolloutIncomplete,
		text: fmt.Sprintf("the rollout of %s for the current version is not complete, so its pods may hold a predecessor", have.IncompleteRollout),
	}
}

// isSupersededByHolder reports whether the successor of v was made for a holder.
func (o Observed) isSupersededByHolder(v Version) bool {
	return slices.ContainsFunc(o.versions(), func(s Version) bool { return s.Predecessor == v.Record && s.isSelfRotated() })
}

// selfRotationDeferral defers a rotation by a holder until minOverlap after the last one.
func selfRotationDeferral(now time.Time, want Desired, have Observed) deferral {
	return deferral{
		until: selfRotationAllowedAt(now, want, have), reason: MinOverlap,
		text: fmt.Sprintf("a holder rotates a token at most once in %s, its minOverlap", want.Retire.Min),
	}
}

// selfRotationAllowedAt returns the first instant at which a holder may rotate: minOverlap after
// the last rotation by a holder. The zero time means at once. It ignores records that were never
// delivered to a caller, because they are no rotation. It also ignores versions from a clock that
// was ahead, because they would forbid the next rotation for too long.
func selfRotationAllowedAt(now time.Time, want Desired, have Observed) time.Time {
	var last time.Time
	note := func(v Version) {
		if v.isSelfRotated() && !issuedAhead(now, v) {
			last = latest(last, v.IssuedAt)
		}
	}
	if c := have.Current; c != nil {
		note(*c)
	}
	for _, v := range have.predecessors() {
		note(v)
	}
	if last.IsZero() {
		return time.Time{}
	}
	return last.Add(want.Retire.Min)
}
