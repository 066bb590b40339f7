package password

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// Stored is what the password of a user is stored as, which nobody may print either: a hash can be guessed at, and a plain
// one need not even be guessed. ReadHash and ReadPlain make it. The zero Stored matches nothing, and a check against it costs
// what the defaults cost.
type Stored struct{ reveal func() scheme }

// scheme is one way to store a password.
type scheme interface {
	// matches takes as long for a wrong password as for the right one.
	matches(presented string) bool
	// memory is how many bytes matches holds at most.
	memory() int64
	// text is the stored text where it is a hash, and "" otherwise.
	text() string
}

// keep is the only maker of a Stored.
func keep(s scheme) Stored { return Stored{reveal: func() scheme { return s }} }

// scheme never returns nil.
func (s Stored) scheme() scheme {
	if s.reveal == nil {
		return nobody{}
	}
	return s.reveal()
}

// Plain says whether the password itself is stored. A caller has then to make a fingerprint of its own, and may want to warn.
func (s Stored) Plain() bool {
	_, is := s.scheme().(plain)
	return is
}

// Memory returns how many bytes one check takes: of the zero Stored and of a plain one what the defaults take, and never
// more than MaxMemory.
func (s Stored) Memory() int64 { return s.scheme().memory() }

// Fingerprint returns 32 hex digits by which a changed password is noticed: the first 16 bytes of SHA-256 over
// "apptoken password fingerprint\x00" and the text of the hash. It may be written where the hash may not be: of a hash it
// gives nothing away, because its salt is in what was digested.
//
// Of a plain password and of the zero Stored it returns "". A fast hash of what a person chose can be guessed at leisure by
// whoever reads it, so the caller makes a fingerprint of other facts, such as the UID and the version of the Secret.
func (s Stored) Fingerprint() string {
	text := s.scheme().text()
	if text == "" {
		return ""
	}
	sum := sha256.Sum256([]byte("apptoken password fingerprint\x00" + text))
	return hex.EncodeToString(sum[:16])
}

// Errors of ReadPlain.
var (
	errNoPlain  = errors.New("password is empty")
	errBadPlain = fmt.Errorf("password can never be presented: make it at most %d bytes of UTF-8 without NUL", MaxLength)
)

// ReadPlain reads a password that is stored as it is, as other tools deliver it. Every byte counts, spaces too, except one
// newline at the end, which editors and echo leave there. An empty password is an error, and so is one that Presented would
// refuse: nobody could ever log in with it.
func ReadPlain(text string) (Stored, error) {
	text = strings.TrimSuffix(text, "\n")
	switch {
	case text == "":
		return Stored{}, errNoPlain
	case !sound(text):
		return Stored{}, errBadPlain
	}
	return keep(plain(strings.Clone(text))), nil
}
