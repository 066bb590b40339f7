package token

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"strings"
)

// ErrMalformedDigest reports that a text is not a digest. It never repeats the text, which may be a
// misplaced token.
var ErrMalformedDigest = errors.New("malformed digest")

// Digest is the SHA-256 of a whole token text: all that a record keeps of it. A fast hash suffices,
// because a token has 256 random bits and is not a password. Compare digests with == only where
// timing reveals nothing, such as map keys. Compare a presented token with Matches.
type Digest [sha256.Size]byte

// DigestOf parses s as strictly as Parse and digests it without keeping it. It is the path of the
// verifier and does not allocate. Its only error is ErrMalformed, and then it has computed no hash.
func DigestOf(s string) (Kind, Digest, error) {
	var t text
	kind := parseInto(&t, s)
	if kind == 0 {
		return 0, Digest{}, ErrMalformed
	}
	return kind, sha256.Sum256(t[:]), nil
}

// Digest returns the SHA-256 of the text, and the zero Digest for the zero Secret.
func (s Secret) Digest() Digest {
	if s.reveal == nil {
		return Digest{}
	}
	t := s.reveal()
	return sha256.Sum256(t[:])
}

// ParseDigest parses the output of String: exactly 64 lower-case hexadecimal digits, so that a
// digest too has one spelling. Its only error is ErrMalformedDigest.
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

// String returns the digest as 64 lower-case hexadecimal digits, the form in which a record keeps
// it. It must not be part of a verification response.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// RecordName returns the name of the TokenRecord of the token: "at-" and the first 32 hexadecimal
// digits, 35 bytes in all. 128 bits keep names apart, but only the whole digest proves that a token
// belongs to a record.
func (d Digest) RecordName() string { return "at-" + hex.EncodeToString(d[:16]) }

// Matches reports whether d is the digest of t. Its time does not depend on where the two differ.
// Nothing matches the zero Token.
func (d Digest) Matches(t Token) bool {
	got := t.Digest()
	same := subtle.ConstantTimeCompare(d[:], got[:]) == 1
	return same && t.reveal != nil
}
