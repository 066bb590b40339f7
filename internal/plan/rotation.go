package plan

import "time"

// MaxSpread is how much later than asked a token rotates at most, so that those of one instant do not all come at once.
const MaxSpread = time.Minute

// maxAhead is how far ahead of the operator's clock the issue of a version may be, as clocks go, and how far ahead of its
// issue its creation by the API server.
const maxAhead = time.Minute

// issuedAhead reports whether v was issued by a clock that was ahead. Whatever counts from its issue would come too late.
// The API server's date of its creation says so too: where now alone does, the clock of now is behind.
func issuedAhead(now time.Time, v Version) bool {
	return isAhead(v.lastIssue(), now, v.CreatedAt)
}

// isAhead reports whether t lies ahead of now, and of an instant that the API server dated after t. Zero: it dated none.
func isAhead(t, now, dated time.Time) bool {
	return t.After(now.Add(maxAhead)) && t.After(dated.Add(maxAhead))
}

func (v Version) lastIssue() time.Time { return latest(v.IssuedAt, v.AuthorizedAt) }

// issueCounts reports whether the current version ends or rotates by its age.
func issueCounts(want Desired) bool { return want.Lifetime > 0 || want.rotates() }

// RolloutInterval is how soon a rotation that waits for the rollout of a consumer looks at it
// again, at the earliest, while the spec stays the same. Workloads are not watched.
const RolloutInterval = 10 * time.Second

// rotationDue clones the current version. Where a predecessor would have to end for that, it waits
// instead, unless the current version has expired.
func rotationDue(now time.Time, want Desired, have Observed) (Plan, bool) {
	why, h := dueRotation(now, want, have)
	if why == "" || now.Before(h.until) {
		return Plan{}, false
	}
	return issue(now, why, *have.Current, want, have), true
}

func rotationWaits(now time.Time, want Desired, have Observed) (Plan, bool) {
	why, h := dueRotation(now, want, have)
	if why == "" {
		return Plan{}, false
	}
	wake := nextEnd(now, want, have)
	if why == SelfRequested {
		wake = nextDeadline(now, want, have) // something else may ask meanwhile
	}
	if why == IssuedAhead {
		wake = earliest(wake, after(now, have.Current.lastIssue().Add(-maxAhead))) // then the clock has caught up
	}
	if h.reason == RolloutIncomplete {
		wake = earliest(wake, NextLook(now, have))
	}
	return Plan{Why: RotationPending, Held: h.reason, Wake: earliest(wake, h.until), Message: h.message(why)}, true
}

// NextLook returns when to look again at a rollout: the longer it takes, the less often.
func NextLook(now time.Time, have Observed) time.Time {
	seen := have.RolloutSeenAt
	if seen.IsZero() {
		seen = now
	}
	var began time.Time
	for _, v := range have.predecessors() {
		began = latest(began, v.SupersededAt)
	}
	return seen.Add(max(RolloutInterval, seen.Sub(began)/10))
}

// dueRotation returns why the current version is to be replaced, and what that waits for. An empty
// reason: nothing asks for it. A holder comes last: what else asks gives the successor a lifetime
// of its own.
func dueRotation(now time.Time, want Desired, have Observed) (Why, hold) {
	c := have.Current
	if c == nil {
		return "", hold{}
	}
	var why Why
	if due, reason := NextRotation(want, *c); !due.IsZero() && !now.Before(due) {
		why = reason
	}
	switch {
	case want.triggers(*c):
		why = TriggerChanged
	case issuedAhead(now, *c) && issueCounts(want) && !want.Answered:
		why = IssuedAhead
	case why == "" && want.selfRequests(*c):
		why = SelfRequested
	}
	if why == "" || c.ExpiredAt(now) { // then, like with a lost Secret, new consumers have no valid token
		return why, hold{}
	}
	return why, rotationHold(now, why, want, have)
}

// crowdedOut returns the oldest predecessor, where one has to end before the current version
// becomes one too.
func crowdedOut(have Observed) (v Version, full bool) {
	ps := have.predecessors()
	if excess(have) <= 0 {
		return Version{}, false
	}
	return ps[len(ps)-1], true
}

// excess returns how many predecessors have to end before there is another one.
func excess(have Observed) int {
	keep := MaxPredecessors
	if have.Current != nil {
		keep-- // it becomes a predecessor too
	}
	return len(have.predecessors()) - keep
}

// NextRotation is when the successor of current is due, and why: by interval, by calendar, or since its expiry is near.
// Zero: never by itself. A rotation by a holder does not postpone it.
func NextRotation(want Desired, current Version) (time.Time, Why) {
	if !want.rotates() {
		return time.Time{}, ""
	}
	var due time.Time
	if want.Every > 0 {
		every := max(want.Every, want.MinInterval)
		due = current.authorized().Add(every).Add(share(want.Spread, min(every/10, MaxSpread)))
	}
	if want.Schedule != nil {
		if next := want.Schedule.Next(earliestNext(want, current)); !next.IsZero() {
			due = earliest(due, next.Add(share(want.Spread, MaxSpread)))
		}
	}
	if current.ExpiresAt.IsZero() {
		return due, RotationDue
	}
	near := nearExpiry(want, current)
	if due.IsZero() || near.Before(due) {
		return near, ExpiryNear
	}
	return due, RotationDue
}

// nearExpiry returns when the expiry of current is so near that its successor is due. Zero: it does
// not expire.
func nearExpiry(want Desired, current Version) time.Time {
	if current.ExpiresAt.IsZero() {
		return time.Time{}
	}
	return current.ExpiresAt.Add(-expiryMargin(want, current.ExpiresAt.Sub(current.authorized())))
}

// earliestNext returns the instant after which the calendar may name the next rotation. A version is issued up to MaxSpread
// after the instant that asked for it, so that much of MinInterval may have passed before.
func earliestNext(want Desired, current Version) time.Time {
	return current.authorized().Add(max(0, want.MinInterval-MaxSpread-time.Second))
}

// maxSamples is how many instants of a calendar ShortestInterval looks at.
const maxSamples = 32

// ShortestInterval returns the shortest time between two rotations that the interval, the calendar or the lifetime asks for,
// and zero where nothing does. Of the calendar it samples the instants that follow from; NextRotation holds MinInterval where
// a rarer pattern is denser than the samples.
func ShortestInterval(d Desired, from time.Time) time.Duration {
	if !d.rotates() {
		return 0
	}
	shortest := d.Every
	shorten := func(v time.Duration) {
		if shortest == 0 || v < shortest {
			shortest = v
		}
	}
	if d.Schedule != nil {
		at := d.Schedule.Next(from)
		for range maxSamples {
			next := d.Schedule.Next(at)
			if next.IsZero() {
				break
			}
			shorten(next.Sub(at))
			at = next
		}
	}
	if d.Lifetime > 0 {
		shorten(d.Lifetime - expiryMargin(d, d.Lifetime))
	}
	return shortest
}

// expiryMargin returns how long before its expiry a version of that lifetime is rotated: early enough that the predecessor
// still has its overlap, or the last third of a short life.
func expiryMargin(d Desired, lifetime time.Duration) time.Duration {
	return min(d.Retire.Max, lifetime/3)
}

// share is a part of a whole, in whole seconds where the whole has them: the instants shown to people are the true ones.
func share(part float64, whole time.Duration) time.Duration {
	d := time.Duration(part * float64(whole))
	if whole >= 10*time.Second {
		d = d.Truncate(time.Second)
	}
	return d
}

// MaxNotice is how long before the end of a lifetime its owner is warned at most.
const MaxNotice = 7 * 24 * time.Hour

// ExpiryNotice is the instant from which the owner of current is warned that it will expire: the last third of its
// life, MaxNotice at most. Zero: it does not expire, or rotation will come before.
func ExpiryNotice(want Desired, current Version) time.Time {
	heldUp := want.Refused.Reason != "" || want.State != Active
	if current.ExpiresAt.IsZero() || want.rotates() && !heldUp {
		return time.Time{}
	}
	return current.ExpiresAt.Add(-min(MaxNotice, current.ExpiresAt.Sub(current.authorized())/3))
}

// nextDeadline is the first instant after now at which a rule could speak, or at which there is something to be said.
func nextDeadline(now time.Time, want Desired, have Observed) time.Time {
	wake := nextEnd(now, want, have)
	if c := have.Current; c != nil {
		due, _ := NextRotation(want, *c)
		wake = earliest(wake, after(now, due))
	}
	return wake
}

// nextEnd is nextDeadline where nothing new is made: what there is still ends, and is warned of.
func nextEnd(now time.Time, want Desired, have Observed) time.Time {
	wake := nextRetirement(now, want, have)
	if c := have.Current; c != nil {
		wake = earliest(wake, earliest(after(now, ExpiryNotice(want, *c)), after(now, c.ExpiresAt)))
	}
	return wake
}

// earliest of two instants, where zero is none.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// latest of two instants, where zero is none.
func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// after is t where it lies after now, else none.
func after(now, t time.Time) time.Time {
	if t.After(now) {
		return t
	}
	return time.Time{}
}
