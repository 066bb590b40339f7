package password

import (
	"crypto/sha256"
	"crypto/subtle"
)

// plain is a password that is stored as it is.
type plain string

func (plain) text() string { return "" }

func (plain) memory() int64 { return defaults.memory() }

// matches also computes a hash that it does not need. A comparison alone would answer in a
// microsecond. That would reveal which users have a plain password and, beside a decoy, which names
// are users. It compares digests, because the length of the password must not show either.
func (p plain) matches(presented string) bool {
	spendDefaultCost(presented)
	want, got := sha256.Sum256([]byte(p)), sha256.Sum256([]byte(presented))
	return subtle.ConstantTimeCompare(want[:], got[:]) == 1
}

// noPassword is the stored password of an unknown name.
type noPassword struct{}

func (noPassword) text() string { return "" }

func (noPassword) memory() int64 { return defaults.memory() }

func (noPassword) matches(presented string) bool {
	spendDefaultCost(presented)
	return false
}

// spendDefaultCost costs as much as a check against a hash with the defaults.
func spendDefaultCost(presented string) { defaults.computeTag(presented, defaultTagLength) }
