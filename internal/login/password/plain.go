package password

import (
	"crypto/sha256"
	"crypto/subtle"
)

// plain is a password that is stored as it is.
type plain string

func (plain) text() string  { return "" }
func (plain) memory() int64 { return defaults.memory() }

// matches hashes for nothing: a comparison alone would answer in a microsecond, and so tell which users are stored plain and,
// beside a decoy, which names are users. Digests are compared, because how long the password is may not show either.
func (p plain) matches(presented string) bool {
	decoy(presented)
	want, got := sha256.Sum256([]byte(p)), sha256.Sum256([]byte(presented))
	return subtle.ConstantTimeCompare(want[:], got[:]) == 1
}

// nobody is what an unknown name has stored.
type nobody struct{}

func (nobody) text() string  { return "" }
func (nobody) memory() int64 { return defaults.memory() }

func (nobody) matches(presented string) bool {
	decoy(presented)
	return false
}

// decoy costs what a check against a hash with the defaults costs.
func decoy(presented string) { defaults.of(presented, defaultTagLength) }
