package plan

import (
	"time"
)

// OrphanAge is the age from which a record may be an orphan. It is longer than any pass that could
// still deliver the record, and longer than a restore takes from the record to its owner.
const OrphanAge = 10 * time.Minute

// maxRecordDelay is the longest time between the issue of a version and the creation of its record,
// clock skew included. A record that was created later was restored from a backup.
const maxRecordDelay = 2 * time.Second

// Owner is the observed state of the ApplicationToken that a record names as its owner.
type Owner struct {
	Exists bool
	// Delivered reports whether the owner's Secret names this record. For a token that is delivered
	// in responses, the owner itself names the record.
	Delivered bool
	// Pending reports whether the owner has no Secret, or a Secret that names no current record.
	// The next pass of the owner decides.
	Pending bool
	// PredecessorOfCurrent reports whether the record in the Secret is the successor of this one.
	PredecessorOfCurrent bool
}

// Reasons returned by ForRecord.
const (
	OwnerMissing  Why = "OwnerMissing"
	Orphan        Why = "Orphan" // minted, and never delivered
	RecordExpired Why = "Expired"
)

// ForRecord decides whether the record of v, which was created at the instant created, is garbage.
// It returns RetireOne, or Nothing with the instant to evaluate again in Wake. A record that its
// owner delivered, or that has a successor, is retired by its owner while the owner exists.
func ForRecord(now, created time.Time, v Version, owner Owner) Plan {
	old := created.Add(OrphanAge)
	var why Why
	switch {
	case !owner.Exists:
		why = OwnerMissing
		if created.Sub(v.IssuedAt) <= maxRecordDelay {
			old = created // the owner existed, and will not come back
		}
	case v.isSuperseded():
		// The owner retires it at the end of its life and reports that. Where the owner cannot,
		// garbage collection does.
		if v.ExpiresAt.IsZero() {
			return Plan{Why: UpToDate}
		}
		old, why = v.ExpiresAt.Add(OrphanAge), RecordExpired
	case owner.Delivered, owner.Pending, owner.PredecessorOfCurrent:
		return Plan{Why: UpToDate}
	default:
		why = Orphan
	}
	if now.Before(old) {
		return Plan{Why: why, Wake: old}
	}
	return Plan{Do: RetireOne, Why: why, Version: v}
}
