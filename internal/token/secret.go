package token

// text is the whole spelling of a token, from the prefix to the checksum. It
// is an array so that copying it neither allocates nor pins the request or the
// file that it was read from.
type text [Length]byte

// Secret is the text of a token, which nobody may print. The closure keeps it
// out of fmt, of every encoder and of reflection, and makes == a compile
// error. The zero Secret holds nothing and matches nothing.
type Secret struct{ reveal func() text }

// keep takes t by value and never changes it, so the closure holds the text
// itself and a token costs one allocation.
func keep(t text) Secret {
	return Secret{reveal: func() text { return t }}
}

// Reveal returns the plaintext: Length bytes of ASCII, or "" of the zero
// Secret. It is the only door. What passes through it may go into the
// consumer's Secret or into one HTTP response, and nowhere else.
func (s Secret) Reveal() string {
	if s.reveal == nil {
		return ""
	}
	t := s.reveal()
	return string(t[:])
}

// Hint returns "…" and the last four random digits, by which people tell one
// token of theirs from another; "" of the zero Secret. It may be shown: it
// gives away 24 of the 256 bits. The checksum stays out of it, for that would
// be a second hint, about the digits before.
func (s Secret) Hint() string {
	if s.reveal == nil {
		return ""
	}
	t := s.reveal()
	return "…" + string(t[sumAt-4:sumAt])
}

// Token is a secret and its kind. Only Mint, Parse and Find join the two; the zero
// Token has no kind and matches no digest.
type Token struct {
	Secret
	kind Kind
}

// Kind returns what the prefix says. Whoever forges a text chooses its prefix:
// it is proved by nothing but a record whose digest matches.
func (t Token) Kind() Kind { return t.kind }
