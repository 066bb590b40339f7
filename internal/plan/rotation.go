package plan

import (
	"time"
)

// MaxSpread is the maximum delay of a rotation after its due instant. It spreads tokens that are
// due at the same instant.
const MaxSpread = time.Minute

// maxAhead is the tolerated clock skew: how far the issue of a version may lie ahead of the
// operator's clock, or of the creation of its record by the API server.
const maxAhead = time.Minute

// issuedAhead reports whether v was issued by a clock that was ahead. Every deadline that counts
// from such an issue would come too late. The API server's creation date must agree. If only now is
// earlier than the issue, the clock of now is behind.
func issuedAhead(now time.Time, v Version) bool {
	return isAhead(v.lastIssue(), now, v.CreatedAt)
}

// isAhead reports whether t lies ahead of now and of dated, a later event that the API server
// dated. A zero dated is not compared.
func isAhead(t, now, dated time.Time) bool {
	return t.After(now.Add(maxAhead)) && t.After(dated.Add(maxAhead))
}

// lastIssue returns the later of the issue and the authorization of v.
func (v Version) lastIssue() time.Time { return latest(v.IssuedAt, v.AuthorizedAt) }

// dependsOnAge reports whether the current version expires or rotates by its age.
func dependsOnAge(want Desired) bool { return want.Lifetime > 0 || want.rotates() }

// RolloutInterval is the minimum interval between two observations of a rollout that a rotation
// waits for, while the spec stays the same. Workloads are not watched.
const RolloutInterval = 10 * time.Second

// rotationDue issues the successor of the current version once the rotation is due and no longer
// deferred. It ends no predecessor to make room for it, unless the current version has expired.
func rotationDue(now time.Time, want Desired, have Observed) (Plan, bool) {
	why, d := dueRotation(now, want, have)
	if why == "" || now.Before(d.until) {
		return Plan{}, false
	}
	return issue(now, Plan{Why: why, Version: *have.Current}, want, have), true
}

// rotationDeferred reports a rotation that is due and deferred.
func rotationDeferred(now time.Time, want Desired, have Observed) (Plan, bool) {
	why, d := dueRotation(now, want, have)
	if why == "" {
		return Plan{}, false
	}
	wake := nextEnd(now, want, have)
	if why == SelfRequested {
		wake = nextDeadline(now, want, have) // another cause may come up meanwhile
	}
	if why == IssuedAhead {
		wake = Earliest(wake, ifAfter(now, have.Current.lastIssue().Add(-maxAhead))) // by then the clock has caught up
	}
	if d.reason == RolloutIncomplete {
		wake = Earliest(wake, NextRolloutCheck(now, have))
	}
	return Plan{Why: RotationPending, DeferredBy: d.reason, Wake: Earliest(wake, d.until), Message: d.message(why)}, true
}

// NextRolloutCheck returns when to observe a rollout again. The longer the rollout takes, the
// longer the interval.
func NextRolloutCheck(now time.Time, have Observed) time.Time {
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

// dueRotation returns why the current version must be replaced, and what defers that. The reason is
// empty if no rotation is due. A holder's request comes last, because any other cause gives the
// successor a full lifetime.
func dueRotation(now time.Time, want Desired, have Observed) (Why, deferral) {
	c := have.Current
	if c == nil {
		return "", deferral{}
	}
	var why Why
	if due, reason := NextRotation(want, *c); !due.IsZero() && !now.Before(due) {
		why = reason
	}
	switch {
	case want.triggers(*c):
		why = TriggerChanged
	case issuedAhead(now, *c) && dependsOnAge(want) && !want.DeliveredInResponse:
		why = IssuedAhead
	case why == "" && want.selfRequests(*c):
		why = SelfRequested
	}
	if why == "" || c.ExpiredAt(now) { // new consumers have no valid token, as with a deleted Secret
		return why, deferral{}
	}
	return why, rotationDeferral(now, why, want, have)
}

// oldestExcessPredecessor returns the oldest predecessor, if one must end before the current
// version can become a predecessor.
func oldestExcessPredecessor(have Observed) (v Version, full bool) {
	ps := have.predecessors()
	if excess(have) <= 0 {
		return Version{}, false
	}
	return ps[len(ps)-1], true
}

// excess returns how many predecessors must end before another one fits.
func excess(have Observed) int {
	keep := MaxPredecessors
	if have.Current != nil {
		keep-- // it becomes a predecessor too
	}
	return len(have.predecessors()) - keep
}

// NextRotation returns when the successor of current is due, and why: by interval, by calendar, or
// because its expiry is near. The zero time means that no rotation is scheduled. A rotation by a
// holder does not postpone the next one.
func NextRotation(want Desired, current Version) (time.Time, Why) {
	if !want.rotates() {
		return time.Time{}, ""
	}
	var due time.Time
	if want.Every > 0 {
		every := max(want.Every, want.MinInterval)
		due = current.lifetimeStart().Add(every).Add(spreadDelay(want.Spread, min(every/10, MaxSpread)))
	}
	if want.Schedule != nil {
		if next := want.Schedule.Next(earliestScheduled(want, current)); !next.IsZero() {
			due = Earliest(due, next.Add(spreadDelay(want.Spread, MaxSpread)))
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

// nearExpiry returns when the successor of current is due because its expiry is near. The zero time
// means that current does not expire.
func nearExpiry(want Desired, current Version) time.Time {
	if current.ExpiresAt.IsZero() {
		return time.Time{}
	}
	return current.ExpiresAt.Add(-expiryMargin(want, current.ExpiresAt.Sub(current.lifetimeStart())))
}

// earliestScheduled returns the instant after which the calendar may name the next rotation. A
// version is issued up to MaxSpread after its due instant, so MinInterval is shortened by that
// much.
func earliestScheduled(want Desired, current Version) time.Time {
	return current.lifetimeStart().Add(max(0, want.MinInterval-MaxSpread-time.Second))
}

// maxSamples is the number of instants of a calendar that ShortestInterval samples.
const maxSamples = 32

// ShortestInterval returns the shortest time between two rotations that the interval, the calendar
// or the lifetime asks for. It returns zero if none of them asks for rotation. It samples the
// calendar from the instant from. NextRotation enforces MinInterval where a rare pattern is denser
// than the samples.
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

// expiryMargin returns how long before its expiry a version of that lifetime is rotated. The
// predecessor must still have its overlap. The margin is at most the last third of the lifetime.
func expiryMargin(d Desired, lifetime time.Duration) time.Duration {
	return min(d.Retire.Max, lifetime/3)
}

// spreadDelay returns the fraction part of whole. For a whole of ten seconds or more it returns
// whole seconds, so that the instants shown to users are exact.
func spreadDelay(part float64, whole time.Duration) time.Duration {
	d := time.Duration(part * float64(whole))
	if whole >= 10*time.Second {
		d = d.Truncate(time.Second)
	}
	return d
}

// MaxExpiryNotice is the maximum time before its expiry at which the owner of a version is warned.
const MaxExpiryNotice = 7 * 24 * time.Hour

// ExpiryNotice returns the instant from which the owner of current is warned of its expiry: the
// last third of its lifetime, at most MaxExpiryNotice. The zero time means that current does not
// expire, or that a rotation comes first.
func ExpiryNotice(want Desired, current Version) time.Time {
	heldUp := want.Refused.Reason != "" || want.State != Active
	if current.ExpiresAt.IsZero() || want.rotates() && !heldUp {
		return time.Time{}
	}
	return current.ExpiresAt.Add(-min(MaxExpiryNotice, current.ExpiresAt.Sub(current.lifetimeStart())/3))
}

// nextDeadline returns the first instant after now at which a rule could apply or a condition could
// change.
func nextDeadline(now time.Time, want Desired, have Observed) time.Time {
	wake := nextEnd(now, want, have)
	if c := have.Current; c != nil {
		due, _ := NextRotation(want, *c)
		wake = Earliest(wake, ifAfter(now, due))
	}
	return wake
}

// nextEnd returns nextDeadline without rotations: the instants at which existing versions end, or
// at which their expiry is announced.
func nextEnd(now time.Time, want Desired, have Observed) time.Time {
	wake := nextRetirement(now, want, have)
	if c := have.Current; c != nil {
		wake = Earliest(wake, Earliest(ifAfter(now, ExpiryNotice(want, *c)), ifAfter(now, c.ExpiresAt)))
	}
	return wake
}

// Earliest returns the earlier of two instants, where zero means none.
func Earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// latest returns the later of two instants, where zero means none.
func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// ifAfter returns t if it is after now, and zero otherwise.
func ifAfter(now, t time.Time) time.Time {
	if t.After(now) {
		return t
	}
	return time.Time{}
}
