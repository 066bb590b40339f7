package verify

import (
	"cmp"
	"slices"
	"time"
)

// How far the store may be behind the last use. A superseded credential is retired by what the store says.
const (
	behind           = 5 * time.Minute
	behindSuperseded = 5 * time.Second
)

// idleShare of an idle time-out is how far the store may be behind where other replicas end the credential on its word.
const idleShare = 10

// known is the last sign of life that the store has.
func (u Use) known() time.Time {
	if u.Idle > 0 && u.StoredAt.Before(u.IssuedAt) {
		return u.IssuedAt
	}
	return u.StoredAt
}

// unheard says that on the word of the store the credential would end: it knows of no use since a successor took over, or
// of none for a good part of the idle time-out.
func (u Use) unheard(now time.Time) bool {
	if u.Idle > 0 {
		return u.waits() && now.Sub(u.known()) >= u.Idle/idleShare
	}
	return !u.SupersededAt.IsZero() && u.StoredAt.Before(u.SupersededAt) && !u.At.Before(u.SupersededAt)
}

// urgency is 1 where the store is as far behind as it may be, and more where it is further.
func (u Use) urgency() float64 {
	allowed := behind
	if !u.SupersededAt.IsZero() {
		allowed = behindSuperseded
	}
	if u.Idle > 0 {
		allowed = min(allowed, u.Idle/idleShare)
	}
	return float64(u.At.Sub(u.known())) / float64(allowed)
}

// Due says whether a use is worth a write at the instant now.
func (u Use) Due(now time.Time) bool { return u.unheard(now) || u.Idle == 0 && u.urgency() >= 1 }

// waits says that a use is not worth a write yet, and will be although nothing more happens: what ends by idleness must be
// known everywhere when that time comes.
func (u Use) waits() bool { return u.Idle > 0 && u.At.After(u.known()) }

// unheardShare is how many writes of credentials that would end on the word of the store are allowed for one of the others.
// There is one such write for each rotation, and few in each idle time-out, and it keeps a workload from being refused.
const unheardShare = 10

// Next divides uses into those to be written at the instant now, and those that have to wait: of each sort those first that
// the store is furthest behind with. Of most there are so many, and unheardShare times as many of those that would end.
func Next(at time.Time, uses []Use, most int) (now, later []Use) {
	uses = slices.DeleteFunc(uses, func(u Use) bool {
		if u.Due(at) {
			return false
		}
		if u.waits() {
			later = append(later, u)
		}
		return true
	})
	slices.SortFunc(uses, func(a, b Use) int {
		return cmp.Or(cmp.Compare(b.urgency(), a.urgency()), slices.Compare(a.ID[:], b.ID[:]))
	})
	most = max(most, 0)
	unheard := unheardShare * most
	for _, u := range uses {
		left := &most
		if u.unheard(at) {
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
