package verify

import (
	"cmp"
	"slices"
	"time"
)

// How far the last use in the API server may be behind. A superseded credential is retired by what
// the API server holds.
const (
	maxWriteDelay           = 5 * time.Minute
	maxSupersededWriteDelay = 5 * time.Second
)

// idleDelayDivisor is the divisor for the share of an idle timeout by which the API server may be
// behind. Other replicas end the credential by what the API server holds.
const idleDelayDivisor = 10

// lastStored returns the last sign of life that the API server has.
func (u Use) lastStored() time.Time {
	if u.Idle > 0 && u.StoredAt.Before(u.IssuedAt) {
		return u.IssuedAt
	}
	return u.StoredAt
}

// endsUnlessWritten reports whether a use has to be written because the credential would end
// without it. The API server holds no use since a successor took over, or none for a good part of
// the idle timeout.
func (u Use) endsUnlessWritten(now time.Time) bool {
	if u.Idle > 0 {
		return u.isPending() && now.Sub(u.lastStored()) >= u.Idle/idleDelayDivisor
	}
	return !u.SupersededAt.IsZero() && u.StoredAt.Before(u.SupersededAt) && !u.At.Before(u.SupersededAt)
}

// urgency is 1 when the API server is as far behind as it may be, and more when it is further
// behind.
func (u Use) urgency() float64 {
	allowed := maxWriteDelay
	if !u.SupersededAt.IsZero() {
		allowed = maxSupersededWriteDelay
	}
	if u.Idle > 0 {
		allowed = min(allowed, u.Idle/idleDelayDivisor)
	}
	return float64(u.At.Sub(u.lastStored())) / float64(allowed)
}

// IsDue reports whether a use is worth a write at the instant now.
func (u Use) IsDue(now time.Time) bool {
	return u.endsUnlessWritten(now) || u.Idle == 0 && u.urgency() >= 1
}

// isPending reports whether a use will be worth a write later, although nothing more happens. All
// replicas must know the last use of a credential when its idle timeout ends.
func (u Use) isPending() bool { return u.Idle > 0 && u.At.After(u.lastStored()) }

// urgentWriteFactor is how many writes for credentials that would otherwise end are allowed for
// each other write. There is one such write for each rotation, and few in each idle timeout. Such a
// write keeps a workload from being rejected.
const urgentWriteFactor = 10

// PlanWrites divides uses into those to write at the instant at, and those that have to wait. It
// chooses first the uses by which the API server is furthest behind. It chooses up to most uses,
// and beside them up to urgentWriteFactor times as many for credentials that would otherwise end.
func PlanWrites(at time.Time, uses []Use, most int) (now, later []Use) {
	uses = slices.DeleteFunc(uses, func(u Use) bool {
		if u.IsDue(at) {
			return false
		}
		if u.isPending() {
			later = append(later, u)
		}
		return true
	})
	slices.SortFunc(uses, func(a, b Use) int {
		return cmp.Or(cmp.Compare(b.urgency(), a.urgency()), slices.Compare(a.ID[:], b.ID[:]))
	})
	most = max(most, 0)
	unheard := urgentWriteFactor * most
	for _, u := range uses {
		left := &most
		if u.endsUnlessWritten(at) {
			left = &unheard
		}
		if *left == 0 {
			later = append(later, u)
			continue
		}
		*left--
		now = append(now, u)
	}
	return now, later
}
