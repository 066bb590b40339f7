package grant

import "slices"

// Holding lists the roles and permissions of a credential after its ceiling has been applied. Only
// Ceiling.Cut makes one. The zero Holding may do nothing. Each list is sorted, free of duplicates,
// and nil rather than empty.
type Holding struct {
	Roles       []string // requested roles within the ceiling
	Permissions []string // requested single permissions within the ceiling

	// Effective holds the permissions of Roles, and Permissions. Patterns that other patterns cover
	// are kept, since readers may look for them.
	Effective []string

	OverRoles       []string // requested roles that the ceiling does not hold
	OverPermissions []string // requested single permissions that it does not cover
}

// May reports whether the holding covers a permission. It does not allocate.
func (h Holding) May(permission string) bool { return Covers(h.Effective, permission) }

// Has reports whether the holding has the role of that exact name. Roles have no wildcards, and
// holding a role's permissions is not holding the role.
func (h Holding) Has(role string) bool { return slices.Contains(h.Roles, role) }

// Over reports whether more was requested than the ceiling allows.
func (h Holding) Over() bool { return len(h.OverRoles) > 0 || len(h.OverPermissions) > 0 }
