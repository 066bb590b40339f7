package password

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/text/unicode/norm"
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
	errMark     = errors.New("password begins or ends with a byte order mark (U+FEFF), which no keyboard writes: save it as UTF-8 without one")
	errBadPlain = fmt.Errorf("password can never be presented: make it at most %d bytes of UTF-8 without NUL", MaxLength)
)

// byteOrderMark is what some editors write at the beginning of a file.
const byteOrderMark = "\ufeff"

// ReadPlain reads a password that is stored as it is, as other tools deliver it. Every character counts, spaces too, except one
// line end, LF or CRLF, which editors and echo leave there. An empty password is an error, and so is one that Presented would
// refuse, or that has a byte order mark at one of its ends: no user could log in with it. Like what is presented, it is
// compared in its composed form.
func ReadPlain(text string) (Stored, error) {
	text, windows := strings.CutSuffix(text, "\r\n")
	if !windows {
		text = strings.TrimSuffix(text, "\n")
	}
	text = norm.NFC.String(text)
	switch {
	case text == "":
		return Stored{}, errNoPlain
	case !sound(text):
		return Stored{}, errBadPlain
	case strings.HasPrefix(text, byteOrderMark), strings.HasSuffix(text, byteOrderMark):
		return Stored{}, errMark
	}
	return keep(plain(strings.Clone(text))), nil
}
