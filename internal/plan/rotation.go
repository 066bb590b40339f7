package plan

import (
	"fmt"
	"time"
)

// MaxSpread is how much later than asked a token rotates at most, so that those of one instant do not all come at once.
const MaxSpread = time.Minute

// maxAhead is how far ahead of the operator's clock the issue of a version may be, as clocks go.
const maxAhead = time.Minute

// issuedAhead reports whether v was issued by a clock that was ahead. Whatever counts from its issue would come too late.
func issuedAhead(now time.Time, v Version) bool {
	return latest(v.IssuedAt, v.AuthorizedAt).After(now.Add(maxAhead))
}

// issueCounts reports whether the current version ends or rotates by its age.
func issueCounts(want Desired) bool { return want.Lifetime > 0 || want.rotates() }

// rotationDue clones the current version. It ends no predecessor before its minOverlap: until then it waits.
func rotationDue(now time.Time, want Desired, have Observed) (Plan, bool) {
	why, from := dueRotation(now, want, have)
	if why == "" || now.Before(from) {
		return Plan{}, false
	}
	return issue(now, why, *have.Current, want, have), true
}

func rotationWaits(now time.Time, want Desired, have Observed) (Plan, bool) {
	why, from := dueRotation(now, want, have)
	if why == "" {
		return Plan{}, false
	}
	wake := nextEnd(now, want, have)
	if why == SelfRequested {
		wake = nextDeadline(now, want, have) // something else may ask meanwhile
	}
	return Plan{
		Why: RotationPending, Wake: earliest(wake, from),
		Message: fmt.Sprintf("a rotation is due (%s) and waits until %s, so that %s", why, from.UTC().Format(time.RFC3339), waitsFor(want, have)),
	}, true
}

// waitsFor returns what a rotation waits for, for people.
func waitsFor(want Desired, have Observed) string {
	if v, full := crowdedOut(have); full {
		return fmt.Sprintf("version %d (%s) has its minOverlap; at most %d predecessors are kept", v.Number, v.Hint, MaxPredecessors)
	}
	return fmt.Sprintf("its holder rotates it at most once in %s, its minOverlap", want.Retire.Min)
}

// dueRotation returns why the current version is to be replaced, and from when on that may be done; zero: at once. An empty
// reason: nothing asks for it. A holder comes last: what else asks gives the successor a lifetime of its own.
func dueRotation(now time.Time, want Desired, have Observed) (Why, time.Time) {
	c := have.Current
	if c == nil {
		return "", time.Time{}
	}
	from := roomFrom(want, have)
	if c.ExpiredAt(now) {
		from = time.Time{} // like a lost Secret: no valid token is left to anybody new
	}
	if want.triggers(*c) {
		return TriggerChanged, from
	}
	if issuedAhead(now, *c) && issueCounts(want) && !want.Answered {
		return IssuedAhead, from
	}
	if due, why := NextRotation(want, *c); !due.IsZero() && !now.Before(due) {
		return why, from
	}
	if want.selfRequests(*c) {
		return SelfRequested, latest(from, selfRotationFrom(now, want, have))
	}
	return "", time.Time{}
}

// crowdedOut returns the oldest predecessor, where it has to end before the current version becomes one too.
func crowdedOut(have Observed) (v Version, full bool) {
	ps, keep := have.predecessors(), MaxPredecessors
	if have.Current != nil {
		keep--
	}
	if len(ps) <= keep {
		return Version{}, false
	}
	return ps[len(ps)-1], true
}

// roomFrom returns from when on a rotation may end the predecessor that is in its way: it has had its minOverlap then, or
// its own end. Zero: none is in the way.
func roomFrom(want Desired, have Observed) time.Time {
	v, full := crowdedOut(have)
	if !full {
		return time.Time{}
	}
	return earliest(lastInstant(v, want.Retire), v.SupersededAt.Add(want.Retire.Min))
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
	near := current.ExpiresAt.Add(-expiryMargin(want, current.ExpiresAt.Sub(current.authorized())))
	if due.IsZero() || near.Before(due) {
		return near, ExpiryNear
	}
	return due, RotationDue
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
