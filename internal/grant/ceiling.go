package grant

import (
	"slices"
	"strings"
)

// Role is a name for permissions, such as "primary" or "client~primary". Names are local to one
// client.
type Role struct {
	Name        string
	Permissions []string // patterns; the order does not matter
}

// Ceiling is the upper bound of roles and permissions. It is immutable and may be shared. The zero
// Ceiling covers nothing.
type Ceiling struct {
	roles []Role // sorted by name, names unique, permissions sorted and unique
}

// NewCeiling returns the ceiling of a client with these roles, which it copies. Roles of one name
// are merged. Malformed names and permissions are dropped.
func NewCeiling(roles []Role) Ceiling {
	byName := make(map[string][]string, len(roles))
	for _, r := range roles {
		if ValidRoleName(r.Name) {
			byName[r.Name] = append(byName[r.Name], r.Permissions...)
		}
	}
	c := Ceiling{roles: make([]Role, 0, len(byName))}
	for name, permissions := range byName {
		permissions = slices.DeleteFunc(permissions, func(p string) bool { return !ValidPermission(p) })
		c.roles = append(c.roles, Role{Name: name, Permissions: tidy(permissions)})
	}
	slices.SortFunc(c.roles, byRoleName)
	return c
}

// Restrict returns the ceiling that holds the named roles only: those granted to a namespace, or
// those of a user's account. Names that the ceiling does not hold are ignored: naming a role does
// not create it.
func (c Ceiling) Restrict(roleNames []string) Ceiling {
	var low Ceiling
	for _, r := range c.roles {
		if slices.Contains(roleNames, r.Name) {
			low.roles = append(low.roles, r)
		}
	}
	return low
}

// Covers reports whether some role of the ceiling holds a pattern that covers the permission. It
// does not allocate.
func (c Ceiling) Covers(permission string) bool {
	for _, r := range c.roles {
		if Covers(r.Permissions, permission) {
			return true
		}
	}
	return false
}

// Cut divides the requested roles and single permissions into those within the ceiling and those
// over it. A permission is within it as a whole or not at all: a wildcard that is only partly
// covered is over it. Malformed names and permissions are over it.
func (c Ceiling) Cut(roles, permissions []string) Holding {
	var h Holding
	for _, name := range roles {
		if r, ok := c.role(name); ok {
			h.Roles = append(h.Roles, name)
			h.Effective = append(h.Effective, r.Permissions...)
		} else {
			h.OverRoles = append(h.OverRoles, name)
		}
	}
	for _, p := range permissions {
		if c.Covers(p) {
			h.Permissions = append(h.Permissions, p)
			h.Effective = append(h.Effective, p)
		} else {
			h.OverPermissions = append(h.OverPermissions, p)
		}
	}
	for _, list := range []*[]string{&h.Roles, &h.Permissions, &h.Effective, &h.OverRoles, &h.OverPermissions} {
		*list = tidy(*list)
	}
	return h
}

func (c Ceiling) role(name string) (Role, bool) {
	i, ok := slices.BinarySearchFunc(c.roles, Role{Name: name}, byRoleName)
	if !ok {
		return Role{}, false
	}
	return c.roles[i], true
}

func byRoleName(a, b Role) int { return strings.Compare(a.Name, b.Name) }

// tidy sorts a list that the caller owns and removes duplicates, so that the same set is always the
// same list. It returns nil for an empty list.
func tidy(list []string) []string {
	if len(list) == 0 {
		return nil
	}
	slices.Sort(list)
	return slices.Compact(list)
}
