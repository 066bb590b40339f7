package grant

import (
	"strings"
)

const (
	// MaxPermission is the maximum number of bytes of a permission.
	MaxPermission = 253
	// MaxRoleName is the maximum number of bytes of the name of a role.
	MaxRoleName = 63

	// PermissionPattern (RE2) and MaxPermission are the grammar of permissions, for schemas outside
	// this package. ValidPermission checks the same at lower cost.
	PermissionPattern = `^(\*|[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*(\.\*)?)$`
	// RoleNamePattern (RE2) is the grammar of role names, length included.
	RoleNamePattern = `^[A-Za-z0-9][A-Za-z0-9._~-]{0,62}$`

	wildcard = "*"
)

// ValidPermission reports whether s is a permission: segments of ASCII letters, digits, '-' and
// '_', joined by single dots, at most MaxPermission bytes. The last segment may be "*". "*" alone
// is valid too.
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
		case isAlphanumeric(c) || c == '-' || c == '_':
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
	if s == "" || len(s) > MaxRoleName || !isAlphanumeric(s[0]) {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isAlphanumeric(c) && c != '.' && c != '_' && c != '~' && c != '-' {
			return false
		}
	}
	return true
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// Covers reports whether one of the held permissions covers the wanted one. A wanted wildcard is
// covered only by a pattern that covers all of it. "search.*" covers "search.query.*", but no
// number of single permissions adds up to "search.*". It does not allocate, because it runs on
// every request.
func Covers(held []string, wanted string) bool {
	if !ValidPermission(wanted) {
		return false
	}
	for _, pattern := range held {
		if patternCovers(pattern, wanted) {
			return true
		}
	}
	return false
}

// Intersect returns the permissions that both lists hold, sorted. Where a pattern of one list
// covers one of the other, the result has the narrower pattern. It never holds more than either
// list.
func Intersect(a, b []string) []string {
	var both []string
	for _, p := range a {
		if Covers(b, p) {
			both = append(both, p)
		}
	}
	for _, p := range b {
		if Covers(a, p) {
			both = append(both, p)
		}
	}
	return tidy(both)
}

// patternCovers compares a pattern with a valid wanted permission. The pattern needs no check: if
// it is malformed, no valid permission equals it or begins with its stem.
func patternCovers(pattern, wanted string) bool {
	if pattern == wildcard {
		return true
	}
	stem, wild := strings.CutSuffix(pattern, wildcard)
	if !wild {
		return pattern == wanted
	}
	return strings.HasSuffix(stem, ".") && strings.HasPrefix(wanted, stem)
}
