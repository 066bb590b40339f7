package grant

import "slices"

// Holding is what a credential has once its ceiling has been applied. Only
// Ceiling.Cut makes one; the zero Holding may do nothing. Each list is sorted,
// free of duplicates, and nil rather than empty.
type Holding struct {
	Roles       []string // wanted roles within the ceiling
	Permissions []string // wanted single permissions within the ceiling

	// Effective is what may be done: the permissions of Roles, and Permissions.
	// Patterns that others cover are kept, since readers may look for them.
	Effective []string

	OverRoles       []string // wanted roles that the ceiling does not have
	OverPermissions []string // wanted single permissions that it does not cover
}

// May reports whether the holding covers a permission. It allocates nothing.
func (h Holding) May(permission string) bool { return Covers(h.Effective, permission) }

// Has reports whether the holding has a role of that very name: roles know no
// wildcards, and holding a role's permissions is not holding the role.
func (h Holding) Has(role string) bool { return slices.Contains(h.Roles, role) }

// Over reports whether more was wanted than the ceiling allows.
func (h Holding) Over() bool { return len(h.OverRoles) > 0 || len(h.OverPermissions) > 0 }
