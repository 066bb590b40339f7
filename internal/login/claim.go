package login

import (
	"cmp"
	"time"
)

// Claim is what one of several Clients or Users asks for that only one can have: an account ID, or a username.
type Claim struct {
	Name  string
	Since time.Time // when the object was created
	Held  bool      // its status says that it has what it asks for
}

// CompareClaims orders claims to the same value: those held come first, then the oldest, then by name. Whoever had it first
// therefore keeps it, whatever the age of those that ask for it later. Only after a restore, which brings no status back, age
// decides.
func CompareClaims(a, b Claim) int {
	if a.Held != b.Held {
		if a.Held {
			return -1
		}
		return 1
	}
	return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Name, b.Name))
}

// has reports whether the first of the claimants has what it asks for. Of several, one has it only by its status: until the
// reconciler has decided, nobody does, so that nobody is taken for another.
func has(claimants []string, name string, held bool) bool {
	return len(claimants) > 0 && claimants[0] == name && (held || len(claimants) == 1)
}
