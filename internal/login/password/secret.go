package password

import (
	"errors"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// MaxLength is how many bytes a password may have. Passwords of users and tools stay far below it,
// and a check reads every byte.
const MaxLength = 1024

// ErrMalformed is the error of ParseSecret for a text that can be no user's password. It is a
// constant and repeats nothing of the text.
var ErrMalformed = errors.New("malformed password: want 1 to 1024 bytes of UTF-8 without NUL")

// Secret is a presented password that cannot be printed. The closure keeps it out of fmt, of every
// encoder and of reflection, and makes == a compile error. It has no accessor: only this package
// reads it. The zero Secret matches nothing.
type Secret struct{ reveal func() string }

// NewSecret returns a Secret of text, whatever it is. An endpoint takes a password as soon as it
// has read it, so that no code on the way can print it. NewSecret validates nothing. A text that
// ParseSecret would reject matches nothing when it is checked, and its check takes as long.
//
// Passwords are compared in Unicode's composed form (NFC, RFC 8265, section 4.2.2): one keyboard
// writes é as one character, another as e and an accent.
func NewSecret(text string) Secret {
	text = strings.Clone(text) // otherwise the secret would pin the request that it was cut from
	if isWellFormed(text) {
		text = norm.NFC.String(text)
	}
	return Secret{reveal: func() string { return text }}
}

// ParseSecret is NewSecret for a text that may be a password: 1 to MaxLength bytes of UTF-8 without
// NUL. For any other text it returns the zero Secret and ErrMalformed. NUL is rejected because
// bcrypt takes it for the end: "a" and "a\x00a" would be the same password to it.
func ParseSecret(text string) (Secret, error) {
	if !isWellFormed(text) {
		return Secret{}, ErrMalformed
	}
	return NewSecret(text), nil
}

// isWellFormed reports whether text may be a password.
func isWellFormed(text string) bool {
	return len(text) >= 1 && len(text) <= MaxLength && utf8.ValidString(text) && !strings.Contains(text, "\x00")
}

// checkable returns the password, or "" and false if there is none to check.
func (s Secret) checkable() (string, bool) {
	if s.reveal == nil {
		return "", false
	}
	if text := s.reveal(); isWellFormed(text) {
		return text, true
	}
	return "", false
}
