package login

import (
	"slices"
	"time"

	"github.com/apptoken/operator/internal/record"
)

// CollectDelay is how long a record is kept after it is over or out of place. Another replica may
// know of a later use, or be about to complete a replacement.
const CollectDelay = time.Minute

// CollectReason is the reason for deleting the record of a login.
type CollectReason string

// The reasons for which the record of a login is deleted.
const (
	NotCollected    CollectReason = ""
	UserMissing     CollectReason = "UserMissing" // or another user has the name now
	Expired         CollectReason = "Expired"     // at its end, or by its idle timeout
	PasswordChanged CollectReason = "PasswordChanged"
	AccountMissing  CollectReason = "AccountMissing"
	// Orphan is an orphan: it was to replace a login that still exists, so no client has it.
	Orphan CollectReason = "Orphan"
)

// CollectState is the observed state that decides, beside the record of a login, whether the record
// is deleted.
type CollectState struct {
	User           *User // the user with the owner's name; nil: there is none
	HasPredecessor bool  // the predecessor still exists
}

// EvaluateCollection decides whether the record of a login is deleted, and why, or when to evaluate
// it again. A zero time means never. A login with an old password or without its account is
// rejected already, and would be valid again if the former state came back. It is deleted so that
// the login has ended for good.
func EvaluateCollection(now time.Time, r record.Record, a CollectState) (CollectReason, time.Time) {
	inPlace := r.CreatedAt.Add(CollectDelay)
	switch {
	case a.User == nil || a.User.UID != r.Owner.UID:
		return UserMissing, time.Time{}
	case r.IsOver(now.Add(-CollectDelay)):
		return Expired, time.Time{}
	case a.User.Credential == "" || a.User.Credential != r.Credential:
		return PasswordChanged, time.Time{}
	case !a.User.hasAccountAt(r.Client):
		return AccountMissing, time.Time{}
	case a.HasPredecessor && !now.Before(inPlace):
		return Orphan, time.Time{}
	}
	wake := EndOfRecord(r)
	if !wake.IsZero() {
		wake = wake.Add(CollectDelay)
	}
	if now.Before(inPlace) && (wake.IsZero() || inPlace.Before(wake)) {
		wake = inPlace
	}
	return NotCollected, wake
}

// EndOfRecord returns the first instant at which a record is over, as far as is known. A zero time
// means never.
func EndOfRecord(r record.Record) time.Time {
	end := r.ExpiresAt
	if !end.IsZero() && r.Refresh != nil && r.Refresh.ExpiresAt.After(end) {
		end = r.Refresh.ExpiresAt
	}
	if r.IdleTimeout > 0 {
		if idle := r.LastActive().Add(r.IdleTimeout); end.IsZero() || idle.Before(end) {
			end = idle
		}
	}
	return end
}

// WithoutPendingSuccessors returns the records of a user without those that are about to replace
// another. The two are one login. Only once the other is gone is it known whether a client has the
// new one.
func WithoutPendingSuccessors(rs []record.Record) []record.Record {
	there := map[string]bool{} // the names of predecessors: few logins have one
	for i := range rs {
		if rs[i].Predecessor != "" {
			there[rs[i].Predecessor] = false
		}
	}
	if len(there) == 0 {
		return rs
	}
	for i := range rs {
		if _, named := there[rs[i].Name()]; named {
			there[rs[i].Name()] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(rs), func(r record.Record) bool { return there[r.Predecessor] })
}
