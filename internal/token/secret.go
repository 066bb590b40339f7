package token

// text is the whole spelling of a token, from the prefix to the checksum. It is an array, so that
// copying it neither allocates nor pins the request or the file that it was read from.
type text [Length]byte

// Secret is the text of a token and cannot be printed. The closure keeps it out of fmt, of every
// encoder and of reflection, and makes == a compile error. The zero Secret holds nothing and
// matches nothing.
type Secret struct{ reveal func() text }

// newSecret takes t by value and never changes it, so the closure holds the text itself and a token
// costs one allocation.
func newSecret(t text) Secret {
	return Secret{reveal: func() text { return t }}
}

// Reveal returns the plaintext: Length bytes of ASCII, or "" for the zero Secret. It is the only
// access to the text. Its result may go into the consumer's Secret or into one HTTP response, and
// nowhere else.
func (s Secret) Reveal() string {
	if s.reveal == nil {
		return ""
	}
	t := s.reveal()
	return string(t[:])
}

// Hint returns "…" and the last four random digits, by which users distinguish their tokens. It
// returns "" for the zero Secret. It may be shown: it reveals 24 of the 256 bits. The checksum
// stays out of it, because it would be a second hint, about the digits before.
func (s Secret) Hint() string {
	if s.reveal == nil {
		return ""
	}
	t := s.reveal()
	return "…" + string(t[sumAt-4:sumAt])
}

// Token is a secret and its kind. Only the functions of this package that mint, parse or find
// tokens join the two. The zero Token has no kind and matches no digest.
type Token struct {
	Secret
	kind Kind
}

// Kind returns the kind that the prefix names. An attacker who forges a text chooses its prefix:
// only a record whose digest matches proves the kind.
func (t Token) Kind() Kind { return t.kind }
