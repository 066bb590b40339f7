package grant

import (
	"slices"
	"strings"
)

// Role is a name for permissions, such as "primary" or "client~primary". Names
// are bare: they mean something under one client only.
type Role struct {
	Name        string
	Permissions []string // patterns; the order does not matter
}

// Ceiling is what nothing under it may exceed. It is a value that never changes
// and may be shared; the zero Ceiling covers nothing.
type Ceiling struct {
	roles []Role // sorted by name, names unique, permissions sorted and unique
}

// NewCeiling makes the ceiling of a client out of its roles, which it copies.
// Roles of one name are one role that holds the permissions of all. Malformed
// names and permissions are left out.
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

// Restrict returns the ceiling that holds the named roles only: what a
// namespace was granted, or what an account of a user has. Names that the
// ceiling does not know are ignored: no role comes into being by being named.
func (c Ceiling) Restrict(roleNames []string) Ceiling {
	var low Ceiling
	for _, r := range c.roles {
		if slices.Contains(roleNames, r.Name) {
			low.roles = append(low.roles, r)
		}
	}
	return low
}

// Covers reports whether some role of the ceiling holds a pattern that covers
// the permission. It allocates nothing.
func (c Ceiling) Covers(permission string) bool {
	for _, r := range c.roles {
		if Covers(r.Permissions, permission) {
			return true
		}
	}
	return false
}

// Cut divides wanted roles and single permissions into those within the ceiling
// and those over it. A permission is within it or not: a wildcard that is only
// partly covered is over it as a whole. Malformed ones are over it.
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

// tidy sorts a list that is ours and drops what it holds twice, so that the
// same set is always the same list. Of nothing it makes nil.
func tidy(list []string) []string {
	if len(list) == 0 {
		return nil
	}
	slices.Sort(list)
	return slices.Compact(list)
}
