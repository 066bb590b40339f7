package login

import (
	"slices"
	"time"

	"github.com/apptoken/operator/internal/record"
)

// Slack is how long a record is kept after it is over or out of place. Another replica may know of
// a later use, or be about to complete a replacement.
const Slack = time.Minute

// Why is the reason for deleting the record of a login.
type Why string

// The reasons that Sweep returns.
const (
	Stays           Why = ""
	UserGone        Why = "UserMissing" // or another user has the name now
	IsOver          Why = "Expired"     // at its end, or by its idle timeout
	PasswordChanged Why = "PasswordChanged"
	AccountGone     Why = "AccountMissing"
	// Litter is an orphan: it was to replace a login that still exists, so no client has it.
	Litter Why = "Orphan"
)

// Around is the observed state that Sweep needs beside the record of a login.
type Around struct {
	User        *User // the user with the owner's name; nil: there is none
	Predecessor bool  // the predecessor still exists
}

// Sweep decides whether the record of a login is deleted, and why, or when to look at it again. A
// zero time means never. A login with an old password or without its account is rejected already,
// and would be valid again if the former state came back. It is deleted so that the login has ended
// for good.
func Sweep(now time.Time, r record.Record, a Around) (Why, time.Time) {
	inPlace := r.CreatedAt.Add(Slack)
	switch {
	case a.User == nil || a.User.UID != r.Owner.UID:
		return UserGone, time.Time{}
	case r.Over(now.Add(-Slack)):
		return IsOver, time.Time{}
	case a.User.Credential == "" || a.User.Credential != r.Credential:
		return PasswordChanged, time.Time{}
	case !a.User.has(r.Client):
		return AccountGone, time.Time{}
	case a.Predecessor && !now.Before(inPlace):
		return Litter, time.Time{}
	}
	wake := Ends(r)
	if !wake.IsZero() {
		wake = wake.Add(Slack)
	}
	if now.Before(inPlace) && (wake.IsZero() || inPlace.Before(wake)) {
		wake = inPlace
	}
	return Stays, wake
}

// Ends returns the first instant at which a record is over, as far as is known. A zero time means
// never.
func Ends(r record.Record) time.Time {
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

// Settled returns the records of a user without those that are about to replace another. The two
// are one login. Only once the other is gone is it known whether a client has the new one.
func Settled(rs []record.Record) []record.Record {
	there := make(map[string]bool, len(rs))
	for _, r := range rs {
		there[r.Name()] = true
	}
	return slices.DeleteFunc(slices.Clone(rs), func(r record.Record) bool { return there[r.Predecessor] })
}
