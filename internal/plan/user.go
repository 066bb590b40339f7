package plan

import "time"

// userReplaced ends the versions that were issued for a User who is gone, once another User has the name. The spec names a
// User by name, and the User lists the namespace: so a new version for the new User follows, but no holder of an old one
// speaks for them.
func userReplaced(_ time.Time, want Desired, have Observed) (Plan, bool) {
	versions := have.Others
	if have.Current != nil {
		versions = append([]Version{*have.Current}, versions...)
	}
	for _, v := range versions {
		if v.speaksFor(want) && want.User.UID != "" && v.UserUID != want.User.UID && !v.mayFollow(want.User) {
			return Plan{Do: RetireOne, Why: UserReplaced, Version: v}, true
		}
	}
	return Plan{}, false
}

// speaksFor reports whether v names the User whom the spec names.
func (v Version) speaksFor(want Desired) bool {
	return want.Grants != nil && want.Grants.User != "" && v.Grants.User == want.Grants.User
}

// mayFollow reports whether v was issued for u although its record does not name the uid of u. A record that names no uid
// was written before records named any: u was there at its issue. A record that came from a backup, with its owner, names
// a uid of its former life: u came from the backup too, at about the same time. Both hold only until the record names a uid.
func (v Version) mayFollow(u User) bool {
	fromBackup := v.fromBackup() && !u.Since.After(v.CreatedAt.Add(LitterAge))
	if v.UserUID == "" {
		return fromBackup || !u.Since.After(earliest(v.IssuedAt, v.CreatedAt)) // the clock of its issue may have been ahead
	}
	return v.Restored && fromBackup
}

// fromBackup reports whether the record was created later than the version was issued.
func (v Version) fromBackup() bool { return v.CreatedAt.Sub(v.IssuedAt) > atIssue }

// userUID returns the uid that the record of v should name.
func (v Version) userUID(want Desired) string {
	switch {
	case want.Grants == nil:
		return v.UserUID
	case !v.speaksFor(want), want.User.UID != "": // userReplaced has ended what may not follow
		return want.User.UID
	case v.Restored && v.fromBackup():
		return "" // the User may be restored after the record
	default:
		return v.UserUID // no User of that name exists now
	}
}
