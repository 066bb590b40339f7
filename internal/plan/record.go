package plan

import "time"

// LitterAge is how old a record must be before its being out of place counts. It is longer than any pass that could
// still be about to put it in its place, and than a restore takes from the record to its owner.
const LitterAge = 10 * time.Minute

// atIssue is how much later than its issue a record reaches the store at most, as clocks go. One that came later came
// from a backup.
const atIssue = 2 * time.Second

// Owner is what is known of the ApplicationToken that a record names as its owner.
type Owner struct {
	Exists bool
	// Delivered says that the owner's Secret, or of one that is given in answers the owner itself, names this record.
	Delivered bool
	// Pending says that the owner has no Secret, or one that names no current record: the next pass decides what is what.
	Pending bool
	// PredecessorOfCurrent says that the record in the Secret took over from this one.
	PredecessorOfCurrent bool
}

// Reasons of ForRecord.
const (
	OwnerGone Why = "OwnerMissing"
	Litter    Why = "Litter" // minted, and never delivered
	LifeOver  Why = "Expired"
)

// ForRecord decides what becomes of a record that was created at the instant created: RetireOne it, or look again at Wake.
// A record that its owner delivered, or that a successor took over from, is the owner's business while it lives.
func ForRecord(now, created time.Time, v Version, owner Owner) Plan {
	old := created.Add(LitterAge)
	var why Why
	switch {
	case !owner.Exists:
		why = OwnerGone
		if created.Sub(v.IssuedAt) <= atIssue {
			old = created // its owner was there, and will not come back
		}
	case v.superseded():
		// Its owner retires it at the end of its life, and says so. Where the owner cannot, we do.
		if v.ExpiresAt.IsZero() {
			return Plan{Why: UpToDate}
		}
		old, why = v.ExpiresAt.Add(LitterAge), LifeOver
	case owner.Delivered, owner.Pending, owner.PredecessorOfCurrent:
		return Plan{Why: UpToDate}
	default:
		why = Litter
	}
	if now.Before(old) {
		return Plan{Why: why, Wake: old}
	}
	return Plan{Do: RetireOne, Why: why, Version: v}
}
