package login

import (
	"cmp"
	"time"
)

// Claim is the claim of one Client or User to a value that only one of them can have: an account
// ID, or a username.
type Claim struct {
	Name      string
	CreatedAt time.Time // when the object was created
	IsHeld    bool      // the status of the object marks it as the holder
}

// CompareClaims orders claims to the same value: held claims first, then the oldest, then by name.
// The first holder therefore keeps the value, whatever the age of objects that claim it later.
// After a restore, which brings no status back, age decides.
func CompareClaims(a, b Claim) int {
	if a.IsHeld != b.IsHeld {
		if a.IsHeld {
			return -1
		}
		return 1
	}
	return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.Name, b.Name))
}

// holdsClaim reports whether name holds the value that the claimants ask for. One of several
// claimants holds it only by its status. Until the reconciler has decided, none of them does, so no
// user or client is taken for another.
func holdsClaim(claimants []string, name string, held bool) bool {
	return len(claimants) > 0 && claimants[0] == name && (held || len(claimants) == 1)
}
