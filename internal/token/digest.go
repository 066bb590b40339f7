package token

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"strings"
)

// ErrMalformedDigest says that a text is not a digest. It never repeats the
// text, which may be a token in the wrong place.
var ErrMalformedDigest = errors.New("malformed digest")

// Digest is the SHA-256 of a whole token text: all that a record keeps of it.
// A fast hash suffices, for there are 256 random bits to guess and not a
// password. Digests are compared with == where time tells nothing, such as
// the keys of a map; a presented token is compared with Matches.
type Digest [sha256.Size]byte

// DigestOf parses s as strictly as Parse and digests it without keeping it:
// the verifier's path, which allocates nothing. Its only error is
// ErrMalformed, and then no hash was computed.
func DigestOf(s string) (Kind, Digest, error) {
	var t text
	kind := read(&t, s)
	if kind == 0 {
		return 0, Digest{}, ErrMalformed
	}
	return kind, sha256.Sum256(t[:]), nil
}

// Digest returns the SHA-256 of the text; the zero Digest of the zero Secret.
func (s Secret) Digest() Digest {
	if s.reveal == nil {
		return Digest{}
	}
	t := s.reveal()
	return sha256.Sum256(t[:])
}

// ParseDigest reads what String writes: 64 lower-case hexadecimal digits and
// nothing else, so that a digest too has one spelling. Its only error is
// ErrMalformedDigest.
func ParseDigest(s string) (Digest, error) {
	var d Digest
	if len(s) != hex.EncodedLen(len(d)) || strings.ContainsAny(s, "ABCDEF") {
		return Digest{}, ErrMalformedDigest
	}
	if _, err := hex.Decode(d[:], []byte(s)); err != nil {
		return Digest{}, ErrMalformedDigest
	}
	return d, nil
}

// String returns the digest as 64 lower-case hexadecimal digits, the form in
// which a record keeps it. It does not belong in the answer to a verification.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// RecordName returns the name of the TokenRecord that vouches for the token:
// "at-" and the first 32 hexadecimal digits, 35 bytes in all. 128 bits keep
// names apart, but only the whole digest says that a token belongs to a record.
func (d Digest) RecordName() string { return "at-" + hex.EncodeToString(d[:16]) }

// Matches reports whether d is the digest of t, in a time that does not depend
// on where the two differ. Nothing matches the zero Token.
func (d Digest) Matches(t Token) bool {
	got := t.Digest()
	same := subtle.ConstantTimeCompare(d[:], got[:]) == 1
	return same && t.reveal != nil
}
