package plan

import (
	"fmt"
	"slices"
	"time"
)

// Reasons for which a rotation waits.
const (
	MinOverlap        Why = "MinOverlap"
	PredecessorsKept  Why = "PredecessorsKept"
	RolloutIncomplete Why = "RolloutIncomplete"
)

// hold is what a rotation waits for. Its zero value holds nothing.
type hold struct {
	until  time.Time // at the latest
	reason Why
	text   string
}

// longer returns the hold that ends last.
func (h hold) longer(other hold) hold {
	if h.until.Before(other.until) {
		return other
	}
	return h
}

// message returns what a rotation for a reason waits for, and what to do where that is too late.
func (h hold) message(why Why) string {
	return fmt.Sprintf("a rotation is due (%s) and waits until %s at the latest: %s; after a leak, delete the TokenRecord of the version that leaked",
		why, h.until.UTC().Format(time.RFC3339), h.text)
}

// rotationHold returns what a rotation for a reason waits for. No rotation ends a predecessor, and
// a rotation follows another only once consumers have had the time to move on.
func rotationHold(now time.Time, why Why, want Desired, have Observed) hold {
	h := overlapHold(why, want, have).longer(rolloutHold(want, have))
	if near := nearExpiry(want, *have.Current); !near.IsZero() && near.Before(h.until) {
		h.until = near // consumers need the successor before the current version expires
	}
	if why != SelfRequested {
		return h.longer(roomHold(want, have, 0))
	}
	return h.longer(roomHold(want, have, 1)).longer(selfHold(now, want, have))
}

// roomHold keeps a rotation waiting until there is room for another predecessor, if nothing is used
// from now on. A consumer may hold any of those that are there. A holder may be a thief: it leaves
// spare places, so that it does not put off the rotations of others.
func roomHold(want Desired, have Observed, spare int) hold {
	n := excess(have) + spare
	if n <= 0 {
		return hold{}
	}
	var ends []time.Time
	for _, v := range have.predecessors() {
		ends = append(ends, retirementOf(v, want.Retire, have))
	}
	slices.SortFunc(ends, time.Time.Compare)
	text := fmt.Sprintf("consumers may hold any of %d predecessors, and at most %d are kept", len(ends), MaxPredecessors)
	if spare > 0 {
		text += fmt.Sprintf(", of which a holder leaves %d free", spare)
	}
	return hold{until: ends[n-1], reason: PredecessorsKept, text: text + "; one goes then, or when its TokenRecord is deleted"}
}

// overlapHold keeps a rotation waiting until every predecessor has had its minOverlap: its
// consumers may not have read the current version yet. A rotation by a holder puts off holders
// alone.
func overlapHold(why Why, want Desired, have Observed) hold {
	var until time.Time
	for _, v := range have.predecessors() {
		if why == SelfRequested || !have.selfSuperseded(v) {
			until = latest(until, earliest(have.supersededSince(v).Add(want.Retire.Min), lastInstant(v, want.Retire)))
		}
	}
	return hold{
		until: until, reason: MinOverlap,
		text: fmt.Sprintf("a predecessor is within its minOverlap of %s", want.Retire.Min),
	}
}

// rolloutHold keeps a rotation waiting while pods may hold a predecessor: until the last one has
// ended.
func rolloutHold(want Desired, have Observed) hold {
	if have.Rollout == "" {
		return hold{}
	}
	var until time.Time
	for _, v := range have.predecessors() {
		until = latest(until, lastInstant(v, want.Retire))
	}
	return hold{
		until: until, reason: RolloutIncomplete,
		text: fmt.Sprintf("the rollout of %s for the current version is not complete, so its pods may hold a predecessor", have.Rollout),
	}
}

// selfSuperseded reports whether the successor of v was made for a holder.
func (o Observed) selfSuperseded(v Version) bool {
	return slices.ContainsFunc(o.versions(), func(s Version) bool { return s.Predecessor == v.Record && s.selfRotated() })
}

func selfHold(now time.Time, want Desired, have Observed) hold {
	return hold{
		until: selfRotationFrom(now, want, have), reason: MinOverlap,
		text: fmt.Sprintf("a holder rotates a token at most once in %s, its minOverlap", want.Retire.Min),
	}
}

// selfRotationFrom returns from when on a holder may rotate: minOverlap after the last rotation by a holder. Zero: at once.
// A record of which no caller was told is no rotation, and one of a clock that was ahead would forbid the next for too long.
func selfRotationFrom(now time.Time, want Desired, have Observed) time.Time {
	var last time.Time
	note := func(v Version) {
		if v.selfRotated() && !issuedAhead(now, v) {
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
