package plan

import (
	"time"
)

// userReplaced ends the versions that were issued for a deleted User once another User has the same
// name. The spec names a User by name, and the User lists the namespace. So a new version is issued
// for the new User, but the holder of an old version must not act for the new User.
func userReplaced(_ time.Time, want Desired, have Observed) (Plan, bool) {
	versions := have.Others
	if have.Current != nil {
		versions = append([]Version{*have.Current}, versions...)
	}
	for _, v := range versions {
		if v.namesUserOf(want) && want.User.UID != "" && v.UserUID != want.User.UID && !v.mayActFor(want.User) {
			return Plan{Do: RetireOne, Why: UserReplaced, Version: v}, true
		}
	}
	return Plan{}, false
}

// namesUserOf reports whether v names the same User as the spec.
func (v Version) namesUserOf(want Desired) bool {
	return want.Grants != nil && want.Grants.User != "" && v.Grants.User == want.Grants.User
}

// mayActFor reports whether v was issued for u although its record does not name the uid of u. A
// record without a uid was written before records had one: u must have existed at its issue. A
// record that was restored with its owner names an earlier uid: u must have been restored at about
// the same time. Both exceptions end once the record names the uid of u.
func (v Version) mayActFor(u User) bool {
	fromBackup := v.isFromBackup() && !u.CreatedAt.After(v.CreatedAt.Add(OrphanAge))
	if v.UserUID == "" {
		return fromBackup || !u.CreatedAt.After(Earliest(v.IssuedAt, v.CreatedAt)) // the clock of the issue may have been ahead
	}
	return v.Restored && fromBackup
}

// isFromBackup reports whether the record was created later than the version was issued.
func (v Version) isFromBackup() bool { return v.CreatedAt.Sub(v.IssuedAt) > maxRecordDelay }

// userUID returns the uid that the record of v should name.
func (v Version) userUID(want Desired) string {
	switch {
	case want.Grants == nil:
		return v.UserUID
	case !v.namesUserOf(want), want.User.UID != "": // userReplaced has ended the versions that may not follow
		return want.User.UID
	case v.Restored && v.isFromBackup():
		return "" // the User may be restored after the record
	default:
		return v.UserUID // no User of that name exists now
	}
}
