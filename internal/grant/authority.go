package grant

import (
	"net/netip"
	"slices"
	"time"
)

// Authority holds the rights of a credential, the addresses from which it is accepted, and its end.
// The zero Authority may do nothing, from every address and without end.
type Authority struct {
	Roles       []string       // by name
	Permissions []string       // patterns
	Ranges      []netip.Prefix // the addresses from which it is accepted; empty: all
	End         time.Time      // the first instant at which it is rejected; zero: none
}

// Part names the part of an Authority that exceeds another.
type Part string

// Parts of an Authority.
const (
	PartRoles       Part = "roles"
	PartPermissions Part = "permissions"
	PartRanges      Part = "sourceRanges"
	PartEnd         Part = "lifetime"
)

// Within reports whether limit holds all of a. If not, it returns the first part that limit does
// not hold. A role is held by its name alone: services ask for names of roles, so holding the
// permissions of a role is not holding the role.
func (a Authority) Within(limit Authority) (over Part, ok bool) {
	switch {
	case slices.ContainsFunc(a.Roles, func(role string) bool { return !slices.Contains(limit.Roles, role) }):
		return PartRoles, false
	case slices.ContainsFunc(a.Permissions, func(p string) bool { return !Covers(limit.Permissions, p) }):
		return PartPermissions, false
	case !isNarrower(a.Ranges, limit.Ranges):
		return PartRanges, false
	case !limit.End.IsZero() && (a.End.IsZero() || a.End.After(limit.End)):
		return PartEnd, false
	default:
		return "", true
	}
}

// isNarrower reports whether each address of ranges is in limit. It returns false where a range is
// covered only by several ranges of limit together.
func isNarrower(ranges, limit []netip.Prefix) bool {
	if len(limit) == 0 {
		return true
	}
	return len(ranges) > 0 && !slices.ContainsFunc(ranges, func(r netip.Prefix) bool {
		return !slices.ContainsFunc(limit, func(l netip.Prefix) bool { return l.Bits() <= r.Bits() && l.Contains(r.Addr()) })
	})
}
