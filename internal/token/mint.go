package token

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
)

// Mint makes a token of a kind from the next 32 bytes of entropy, which must be unpredictable. In
// production that is crypto/rand.Reader and nothing else. Mint fails if the kind is none of the six
// or if entropy yields fewer bytes. It never makes a token of less than 256 random bits.
func Mint(kind Kind, entropy io.Reader) (Token, error) {
	if !kind.isKnown() {
		return Token{}, fmt.Errorf("mint token: kind %d is not known", uint8(kind))
	}
	var seed [32]byte
	if _, err := io.ReadFull(entropy, seed[:]); err != nil {
		return Token{}, fmt.Errorf("mint token: read entropy: %w", err)
	}
	return Token{Secret: newSecret(spell(kind, seed)), kind: kind}, nil
}

// spell returns the one text of a kind and a number. Parse reads it back.
func spell(kind Kind, seed [32]byte) text {
	var t text
	copy(t[:], kind.Prefix())
	t[prefixLen] = '_'
	encode((*[randomLen]byte)(t[randomAt:sumAt]), seed)
	sum := spellSum(checksum(&t))
	copy(t[sumAt:], sum[:])
	return t
}

// encode writes a big-endian number in base62, padded with '0'. It divides by 62^10, the largest
// power of the base that fits a limb, so that five long divisions give all digits.
func encode(dst *[randomLen]byte, number [32]byte) {
	const (
		perLimb = 10
		divisor = radix * radix * radix * radix * radix * radix * radix * radix * radix * radix
	)
	var limbs [4]uint64
	for i := range limbs {
		limbs[i] = binary.BigEndian.Uint64(number[8*i:])
	}
	for end := randomLen; end > 0; end -= perLimb {
		var rest uint64
		for i := range limbs {
			limbs[i], rest = bits.Div64(rest, limbs[i], divisor)
		}
		for i := end - 1; i >= max(0, end-perLimb); i-- {
			dst[i] = digits[rest%radix]
			rest /= radix
		}
	}
}
