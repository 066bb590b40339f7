package plan

import "time"

// MaxSpread is how much later than asked a token rotates at most, so that those of one instant do not all come at once.
const MaxSpread = time.Minute

func rotationDue(now time.Time, want Desired, have Observed) (Plan, bool) {
	c := have.Current
	if c == nil {
		return Plan{}, false
	}
	if want.triggers(*c) {
		return issue(now, TriggerChanged, *c, want, have), true
	}
	due, why := NextRotation(want, *c)
	if due.IsZero() || now.Before(due) {
		return Plan{}, false
	}
	return issue(now, why, *c, want, have), true
}

// NextRotation is when the successor of current is due, and why: by interval, by calendar, or since its expiry is near.
// Zero: never by itself.
func NextRotation(want Desired, current Version) (time.Time, Why) {
	if !want.rotates() {
		return time.Time{}, ""
	}
	var due time.Time
	if want.Every > 0 {
		every := max(want.Every, want.MinInterval)
		due = current.IssuedAt.Add(every).Add(share(want.Spread, min(every/10, MaxSpread)))
	}
	if want.Schedule != nil {
		if next := want.Schedule.Next(earliestNext(want, current)); !next.IsZero() {
			due = earliest(due, next.Add(share(want.Spread, MaxSpread)))
		}
	}
	if current.ExpiresAt.IsZero() {
		return due, RotationDue
	}
	near := current.ExpiresAt.Add(-expiryMargin(want, current.ExpiresAt.Sub(current.IssuedAt)))
	if due.IsZero() || near.Before(due) {
		return near, ExpiryNear
	}
	return due, RotationDue
}

// earliestNext returns the instant after which the calendar may name the next rotation. A version is issued up to MaxSpread
// after the instant that asked for it, so that much of MinInterval may have passed before.
func earliestNext(want Desired, current Version) time.Time {
	return current.IssuedAt.Add(max(0, want.MinInterval-MaxSpread-time.Second))
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
	return current.ExpiresAt.Add(-min(MaxNotice, current.ExpiresAt.Sub(current.IssuedAt)/3))
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

// after is t where it lies after now, else none.
func after(now, t time.Time) time.Time {
	if t.After(now) {
		return t
	}
	return time.Time{}
}
