package grant

import "strings"

const (
	// MaxPermission is the number of bytes that a permission may have.
	MaxPermission = 253
	// MaxRoleName is the number of bytes that the name of a role may have.
	MaxRoleName = 63

	// PermissionPattern (RE2) and MaxPermission are the grammar of permissions,
	// for the schemas of others; ValidPermission is the same without the cost.
	PermissionPattern = `^(\*|[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*(\.\*)?)$`
	// RoleNamePattern (RE2) is the grammar of role names, bound included.
	RoleNamePattern = `^[A-Za-z0-9][A-Za-z0-9._~-]{0,62}$`

	wildcard = "*"
)

// ValidPermission reports whether s is a permission: segments of ASCII letters,
// digits, '-' and '_', joined by single dots, at most MaxPermission bytes, of
// which the last may be "*"; or "*" alone.
func ValidPermission(s string) bool {
	if s == wildcard {
		return true
	}
	if len(s) > MaxPermission {
		return false
	}
	inSegment := false // "" and a dot at either end leave a segment without a byte
	for i := range len(s) {
		switch c := s[i]; {
		case alphanumeric(c) || c == '-' || c == '_':
			inSegment = true
		case c == '.' && inSegment:
			inSegment = false
		case c == '*' && i == len(s)-1 && !inSegment:
			inSegment = true
		default:
			return false
		}
	}
	return inSegment
}

// ValidRoleName reports whether s may name a role: ASCII letters, digits, '.',
// '_', '~' and '-', the first a letter or a digit, 1 to MaxRoleName bytes.
func ValidRoleName(s string) bool {
	if s == "" || len(s) > MaxRoleName || !alphanumeric(s[0]) {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !alphanumeric(c) && c != '.' && c != '_' && c != '~' && c != '-' {
			return false
		}
	}
	return true
}

func alphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// Covers reports whether one of the held permissions covers the wanted one. A
// wanted wildcard is covered only by a pattern that covers all of it: "search.*"
// covers "search.query.*", but any number of single permissions do not add up to
// "search.*". It allocates nothing, for it runs on every request.
func Covers(held []string, wanted string) bool {
	if !ValidPermission(wanted) {
		return false
	}
	for _, pattern := range held {
		if covers(pattern, wanted) {
			return true
		}
	}
	return false
}

// covers compares with a wanted permission that is valid. The pattern needs no
// check: if it is malformed, no valid permission equals it or begins with its
// stem.
func covers(pattern, wanted string) bool {
	if pattern == wildcard {
		return true
	}
	stem, wild := strings.CutSuffix(pattern, wildcard)
	if !wild {
		return pattern == wanted
	}
	return strings.HasSuffix(stem, ".") && strings.HasPrefix(wanted, stem)
}
