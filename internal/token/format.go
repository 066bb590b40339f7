package token

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

const (
	// Length is the number of bytes of every token, whatever its kind. A text of any other length
	// is rejected before its first byte is read.
	Length = sumAt + sumLen

	// MaxLength is the maximum number of bytes of a credential of any kind. Endpoints reject a
	// longer one before any other work. Length is the tighter bound, and Parse enforces it.
	MaxLength = 512

	// Pattern is the regular expression (RE2; PCRE reads it alike) that finds tokens in text. It
	// does not check the checksum, which is right in one of 5·10^10 random texts that match.
	Pattern = `\bat[aulsorc]_[0-9A-Za-z]{49}\b`

	prefixLen = 3
	randomAt  = prefixLen + 1 // after the underscore
	randomLen = 43            // 62^43 is a little more than 2^256
	sumAt     = randomAt + randomLen
	sumLen    = 6 // 62^6 is more than 2^32

	radix  = 62
	digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

	// maxNumber spells 2^256-1. The digits ascend as their bytes do, so texts of one length compare
	// like the numbers that they spell.
	maxNumber = "yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp1"
)

// ErrMalformed reports that a text is not a token. Parsers return it unwrapped. It never repeats
// the text, which may be a valid token with a typing error.
var ErrMalformed = errors.New("malformed token")

// Kind is a kind of credential. Its zero value is none of them.
type Kind uint8

// The kinds and their prefixes.
const (
	Application     Kind = iota + 1 // ata: of a program, for a client
	UserApplication                 // atu: of a program, with the permissions of a user
	Login                           // atl: of a user who logged in with a password
	Session                         // ats: a login tied to a session id and an address
	Open                            // ato: a login tied to neither
	Refresh                         // atr: valid only for a new pair
	Access                          // atc: of a program, for an hour at most, in exchange for an Application
)

// kinds is indexed by Kind.
var kinds = [...]struct{ prefix, name string }{
	0:               {"", "Unknown"},
	Application:     {"ata", "Application"},
	UserApplication: {"atu", "UserApplication"},
	Login:           {"atl", "Login"},
	Session:         {"ats", "Session"},
	Open:            {"ato", "Open"},
	Refresh:         {"atr", "Refresh"},
	Access:          {"atc", "Access"},
}

// isKnown reports whether k is one of the seven kinds.
func (k Kind) isKnown() bool { return k != 0 && int(k) < len(kinds) }

// String returns the name of the kind, such as "Application". It returns "Unknown" if k is none of
// the seven.
func (k Kind) String() string {
	if !k.isKnown() {
		k = 0
	}
	return kinds[k].name
}

// Prefix returns the three letters before the underscore, such as "ata". It returns "" if k is none
// of the seven.
func (k Kind) Prefix() string {
	if !k.isKnown() {
		k = 0
	}
	return kinds[k].prefix
}

// Parse accepts exactly the texts that Reveal produces: no surrounding space, no second spelling of
// a number, no wrong checksum. Its only error is ErrMalformed.
func Parse(s string) (Token, error) {
	var t text
	kind := parseInto(&t, s)
	if kind == 0 {
		return Token{}, ErrMalformed
	}
	return Token{Secret: newSecret(t), kind: kind}, nil
}

// IsWellFormed reports whether Parse accepts a text. It computes no hash and does not allocate.
func IsWellFormed(s string) bool {
	var t text
	return parseInto(&t, s) != 0
}

// parseInto copies s into t and returns its kind, or 0 if s is no token. Every parser of text from
// outside calls it.
func parseInto[T string | []byte](t *text, s T) Kind {
	if len(s) != Length {
		return 0
	}
	copy(t[:], s)
	return t.check()
}

// check returns the kind of a well-formed text, and 0 for any other. It compares the number instead
// of decoding it: a text of 43 digits that is not above largest has no other spelling.
func (t *text) check() Kind {
	kind := kindOf(t[:prefixLen])
	if kind == 0 || t[prefixLen] != '_' {
		return 0
	}
	var all uint8
	for _, c := range t[randomAt:] {
		all |= digitValue[c]
	}
	if all&noDigit != 0 || string(t[randomAt:sumAt]) > maxNumber || uint64(checksum(t)) != t.sum() {
		return 0
	}
	return kind
}

// sum returns the number that the last digits spell. It is larger than any checksum if they spell a
// number of more than 32 bits.
func (t *text) sum() uint64 {
	d := t[sumAt:]
	return ((uint64(digitValue[d[0]])*radix+uint64(digitValue[d[1]]))*radix+uint64(digitValue[d[2]]))*radix*radix*radix +
		(uint64(digitValue[d[3]])*radix+uint64(digitValue[d[4]]))*radix + uint64(digitValue[d[5]])
}

// kindOf returns the kind of a prefix, or 0.
func kindOf[T string | []byte](prefix T) Kind {
	for k := Application; k.isKnown(); k++ {
		if string(prefix) == kinds[k].prefix {
			return k
		}
	}
	return 0
}

// checksum returns the CRC-32 (IEEE) of all that stands before it. It computes the CRC itself
// because crc32.ChecksumIEEE would move every presented text to the heap.
//
// The register begins with all bits set, which is as if it began with zeros and the first four
// bytes were complemented. Zeros in front of the text do not change a register of zeros. One such
// byte makes the length a multiple of eight.
func checksum(t *text) uint32 {
	const head = sumAt % 8
	var first [8]byte
	copy(first[8-head:], t[:head])
	crc := crcStep(0, binary.LittleEndian.Uint64(first[:])^0xFFFFFFFF<<(8*(8-head)))
	for at := head; at < sumAt; at += 8 {
		crc = crcStep(crc, binary.LittleEndian.Uint64(t[at:]))
	}
	return ^crc
}

// crcStep feeds the next eight bytes into the register.
func crcStep(crc uint32, next uint64) uint32 {
	next ^= uint64(crc)
	return slices8[7][next&0xFF] ^ slices8[6][next>>8&0xFF] ^ slices8[5][next>>16&0xFF] ^ slices8[4][next>>24&0xFF] ^
		slices8[3][next>>32&0xFF] ^ slices8[2][next>>40&0xFF] ^ slices8[1][next>>48&0xFF] ^ slices8[0][next>>56]
}

// spellSum returns the digits of a checksum.
func spellSum(crc uint32) (sum [sumLen]byte) {
	for i := sumLen - 1; i >= 0; i-- {
		sum[i] = digits[crc%radix]
		crc /= radix
	}
	return sum
}

// slices8 holds, at [k][b], the CRC of the byte b followed by k zero bytes, so that one step takes
// eight bytes.
//
// M. E. Kounavis, F. L. Berry: A Systematic Approach to Building High Performance Software-Based
// CRC Generators (2005).
var slices8 = func() (t [8][256]uint32) {
	t[0] = *crc32.IEEETable
	for b := range t[0] {
		for k := 1; k < len(t); k++ {
			t[k][b] = t[0][t[k-1][b]&0xFF] ^ t[k-1][b]>>8
		}
	}
	return t
}()

// noDigit marks, in value, a byte that is not a base62 digit.
const noDigit = 1 << 7

// digitValue holds the value of each base62 digit, and noDigit for all other bytes.
var digitValue = func() (v [256]uint8) {
	for i := range v {
		v[i] = noDigit
	}
	for i, c := range []byte(digits) {
		v[c] = uint8(i)
	}
	return v
}()
