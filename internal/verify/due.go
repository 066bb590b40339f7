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

// unheard says that the store knows of no use since a successor took over: on its word the credential would be retired.
func (u Use) unheard() bool {
	return !u.SupersededAt.IsZero() && u.StoredAt.Before(u.SupersededAt) && !u.At.Before(u.SupersededAt)
}

// urgency is 1 where the store is as far behind as it may be, and more where it is further.
func (u Use) urgency() float64 {
	allowed := behind
	if !u.SupersededAt.IsZero() {
		allowed = behindSuperseded
	}
	return float64(u.At.Sub(u.StoredAt)) / float64(allowed)
}

// Due says whether a use is worth a write.
func (u Use) Due() bool { return u.unheard() || u.urgency() >= 1 }

// unheardShare is how many writes of superseded credentials that the store would retire are allowed for one of the others.
// There is one such write for each rotation, and it keeps a workload from being refused.
const unheardShare = 10

// Next divides uses into those to be written now, and those that are Due and have to wait: of each sort those first that the
// store is furthest behind with. Of most there are so many, and unheardShare times as many of those that would be retired.
func Next(uses []Use, most int) (now, later []Use) {
	uses = slices.DeleteFunc(uses, func(u Use) bool { return !u.Due() })
	slices.SortFunc(uses, func(a, b Use) int {
		return cmp.Or(cmp.Compare(b.urgency(), a.urgency()), slices.Compare(a.ID[:], b.ID[:]))
	})
	most = max(most, 0)
	unheard := unheardShare * most
	for _, u := range uses {
		left := &most
		if u.unheard() {
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
