package login

import (
	"slices"
	"time"

	"github.com/apptoken/operator/internal/record"
)

// Slack is how long a record is left that is over or out of place: another replica may know of a later use, or be about to
// put it in its place.
const Slack = time.Minute

// Why says why the record of a login is to go.
type Why string

// Reasons of Sweep.
const (
	Stays           Why = ""
	UserGone        Why = "UserMissing" // or another one has the name now
	IsOver          Why = "Expired"     // by its end, or for want of use
	PasswordChanged Why = "PasswordChanged"
	AccountGone     Why = "AccountMissing"
	Litter          Why = "Litter" // meant to take the place of one that is still there: nobody has it
)

// Around is what there is beside the record of a login.
type Around struct {
	User        *User // of the name of its owner; nil: there is none
	Predecessor bool  // it is there still
}

// Sweep decides what becomes of the record of a login: it goes, and why, or it stays, and when to look again; never, if that
// is zero. One that goes for its password or its account is refused already, and would be good again if the one before came
// back; but a login has ended then.
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

// Ends is the first instant at which a record is over, as far as is known; zero: it never is.
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

// Settled leaves out of the records of a user those that are about to take the place of another one: together they are one
// login, and whether the new one is that of anybody is only known once the other is gone.
func Settled(rs []record.Record) []record.Record {
	there := make(map[string]bool, len(rs))
	for _, r := range rs {
		there[r.Name()] = true
	}
	return slices.DeleteFunc(slices.Clone(rs), func(r record.Record) bool { return there[r.Predecessor] })
}
