package password

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// Stored is the stored form of a user's password. It cannot be printed, because a hash can be
// guessed at, and a plain password need not even be guessed. ParseHash and ParsePlain return one.
// The zero Stored matches nothing, and a check against it costs what the defaults cost.
type Stored struct{ reveal func() scheme }

// scheme is one way to store a password.
type scheme interface {
	// matches takes as long for a wrong password as for the right one.
	matches(presented string) bool
	// memory returns how many bytes matches holds at most.
	memory() int64
	// text returns the stored text if it is a hash, and "" otherwise.
	text() string
}

// newStored returns a Stored. No other code makes one.
func newStored(s scheme) Stored { return Stored{reveal: func() scheme { return s }} }

// scheme never returns nil.
func (s Stored) scheme() scheme {
	if s.reveal == nil {
		return noPassword{}
	}
	return s.reveal()
}

// IsPlain reports whether the password itself is stored. The caller then has to make a fingerprint
// of its own, and may want to warn.
func (s Stored) IsPlain() bool {
	_, is := s.scheme().(plain)
	return is
}

// Memory returns how many bytes one check takes, at most MaxMemory. For the zero Stored and a plain
// password, that equals the memory of the defaults.
func (s Stored) Memory() int64 { return s.scheme().memory() }

// Fingerprint returns 32 hex digits by which a changed password is noticed. They are the first 16
// bytes of SHA-256 over "apptoken password fingerprint\x00" and the text of the hash. A fingerprint
// may be written where the hash may not: it reveals nothing, because the salt is part of what was
// digested.
//
// Fingerprint returns "" for a plain password and for the zero Stored. A fast hash of a password
// that a user chose can be guessed at leisure by an attacker who reads it. The caller therefore
// makes a fingerprint of other facts, such as the UID and the version of the Secret.
func (s Stored) Fingerprint() string {
	text := s.scheme().text()
	if text == "" {
		return ""
	}
	sum := sha256.Sum256([]byte("apptoken password fingerprint\x00" + text))
	return hex.EncodeToString(sum[:16])
}

// The errors of ParsePlain.
var (
	errNoPlain       = errors.New("password is empty")
	errByteOrderMark = errors.New("password begins or ends with a byte order mark (U+FEFF), which no user can type: save it as UTF-8 without one")
	errBadPlain      = fmt.Errorf("password can never be presented: make it at most %d bytes of UTF-8 without NUL", MaxLength)
)

// byteOrderMark is the mark that some editors write at the beginning of a file.
const byteOrderMark = "\ufeff"

// ParsePlain parses a password that is stored as it is, as other tools deliver it. Every character
// counts, spaces too, except one line end, LF or CRLF, which editors and echo leave there.
// ParsePlain returns an error for a password with which no user could log in. That is an empty one,
// one that Presented would reject, or one with a byte order mark at either end. The password is
// compared in its composed form, like a presented one.
func ParsePlain(text string) (Stored, error) {
	text, windows := strings.CutSuffix(text, "\r\n")
	if !windows {
		text = strings.TrimSuffix(text, "\n")
	}
	text = norm.NFC.String(text)
	switch {
	case text == "":
		return Stored{}, errNoPlain
	case !isWellFormed(text):
		return Stored{}, errBadPlain
	case strings.HasPrefix(text, byteOrderMark), strings.HasSuffix(text, byteOrderMark):
		return Stored{}, errByteOrderMark
	}
	return newStored(plain(strings.Clone(text))), nil
}
