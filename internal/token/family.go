package token

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
)

// Family is the part that all refresh tokens of one session share: the first half of their random
// bits. It identifies a refresh token long after its use, without storing used tokens, so that a
// replay ends the session (RFC 9700, section 4.14.2). The other half is new in each token. Its 128
// bits cannot be guessed, even by an attacker who has the shared half.
//
// A Family is a secret like the tokens that it is part of. The zero Family belongs to no token.
type Family struct{ reveal func() familyHalf }

type familyHalf [16]byte

// NewFamily makes a Family from the next 16 bytes of entropy, which must be unpredictable as for
// Mint.
func NewFamily(entropy io.Reader) (Family, error) {
	var h familyHalf
	if _, err := io.ReadFull(entropy, h[:]); err != nil {
		return Family{}, fmt.Errorf("begin a family of refresh tokens: read entropy: %w", err)
	}
	return Family{func() familyHalf { return h }}, nil
}

// Mint makes the next refresh token of the family from the next 16 bytes of entropy. It fails for
// the zero Family.
func (f Family) Mint(entropy io.Reader) (Token, error) {
	if f.reveal == nil {
		return Token{}, fmt.Errorf("mint token: there is no family")
	}
	var seed [32]byte
	h := f.reveal()
	copy(seed[:], h[:])
	if _, err := io.ReadFull(entropy, seed[len(h):]); err != nil {
		return Token{}, fmt.Errorf("mint token: read entropy: %w", err)
	}
	return Token{Secret: newSecret(spell(Refresh, seed)), kind: Refresh}, nil
}

// Digest returns the name of the family in records. The digest of a whole token reveals nothing
// about it.
func (f Family) Digest() Digest {
	if f.reveal == nil {
		return Digest{}
	}
	h := f.reveal()
	return sha256.Sum256(append([]byte("family of refresh tokens\x00"), h[:]...))
}

// Family returns the family of a refresh token, and the zero Family for any other kind.
func (t Token) Family() Family {
	if t.kind != Refresh {
		return Family{}
	}
	text := t.reveal()
	seed := decode((*[randomLen]byte)(text[randomAt:sumAt]))
	h := familyHalf(seed[:len(familyHalf{})])
	return Family{func() familyHalf { return h }}
}

// decode reads what encode wrote.
func decode(src *[randomLen]byte) (number [32]byte) {
	var limbs [4]uint64
	for _, c := range src {
		carry := uint64(digitValue[c])
		for i := len(limbs) - 1; i >= 0; i-- {
			high, low := bits.Mul64(limbs[i], radix)
			var over uint64
			limbs[i], over = bits.Add64(low, carry, 0)
			carry = high + over
		}
	}
	for i, limb := range limbs {
		binary.BigEndian.PutUint64(number[8*i:], limb)
	}
	return number
}
