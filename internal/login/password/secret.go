package password

import (
	"errors"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// MaxLength is how many bytes a password may have. People and tools stay far below it, and a check reads every byte.
const MaxLength = 1024

// ErrMalformed is what Presented says of a text that can be nobody's password. It is a constant and repeats nothing of it.
var ErrMalformed = errors.New("malformed password: want 1 to 1024 bytes of UTF-8 without NUL")

// Secret is a presented password, which nobody may print. The closure keeps it out of fmt, of every encoder and of
// reflection, and makes == a compile error. It has no door: only this package reads it. The zero Secret matches nothing.
type Secret struct{ reveal func() string }

// Take keeps text, whatever it is. A door takes a password the moment that it has read it, so that nothing can print it on
// its way. It judges nothing: what Presented would refuse matches nothing when it is checked, and its check takes as long.
//
// Passwords are compared in Unicode's composed form (NFC, RFC 8265, section 4.2.2): one keyboard writes é as one character,
// another as e and an accent.
func Take(text string) Secret {
	text = strings.Clone(text) // or the secret would pin the request that it was cut from
	if sound(text) {
		text = norm.NFC.String(text)
	}
	return Secret{reveal: func() string { return text }}
}

// Presented is Take for a text that may be a password: one of 1 to MaxLength bytes, in UTF-8, without NUL. Of any other it
// returns the zero Secret and ErrMalformed. NUL is refused because bcrypt takes it for the end: "a" and "a\x00a" would be the
// same password to it.
func Presented(text string) (Secret, error) {
	if !sound(text) {
		return Secret{}, ErrMalformed
	}
	return Take(text), nil
}

// sound says whether text may be a password.
func sound(text string) bool {
	return len(text) >= 1 && len(text) <= MaxLength && utf8.ValidString(text) && !strings.Contains(text, "\x00")
}

// judged is the password, or "" and false where there is none to check.
func (s Secret) judged() (string, bool) {
	if s.reveal == nil {
		return "", false
	}
	if text := s.reveal(); sound(text) {
		return text, true
	}
	return "", false
}
