package password

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// MaxMemory is how many bytes one check takes at most. In a Checker such a check takes several
// slots: see SlotMemory.
const MaxMemory = 256 << 20

// Bounds of an argon2id hash. Memory is in KiB, as in the parameter m; the rest is in bytes.
const (
	maxKiB             = MaxMemory >> 10
	maxKiBTimesPasses  = 1 << 20 // the time of a check grows with m times t
	maxPasses          = 16
	maxLanes           = 16
	minSalt, maxSalt   = 8, 64  // RFC 9106 §3.1 requires 8 and recommends 16
	minTag, maxTag     = 16, 64 // below 16, guessing the tag gets in reach of guessing the password
	kiBOfLane          = 8      // RFC 9106 §3.1: m is at least 8p
	defaultSaltLength  = 16
	defaultTagLength   = 32
	argon2VersionField = "v=19" // 0x13, the version of RFC 9106
)

// defaults are the minimum for argon2id in the OWASP Password Storage Cheat Sheet: 19 MiB, two
// passes, one lane.
// https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html#argon2id
var defaults = argon2id{kiB: 19 << 10, passes: 2, lanes: 1, salt: string(make([]byte, defaultSaltLength))}

// argon2id is a hash as RFC 9106 defines it.
type argon2id struct {
	spelling string
	kiB      uint32 // m
	passes   uint32 // t
	lanes    uint8  // p
	salt     string
	tag      string
}

func (a argon2id) text() string { return a.spelling }

func (a argon2id) memory() int64 { return int64(a.kiB) << 10 }

func (a argon2id) matches(presented string) bool {
	return subtle.ConstantTimeCompare(a.computeTag(presented, len(a.tag)), []byte(a.tag)) == 1
}

// computeTag returns the tag of a presented password.
func (a argon2id) computeTag(presented string, length int) []byte {
	return argon2.IDKey([]byte(presented), []byte(a.salt), a.passes, a.kiB, a.lanes, uint32(length)) //nolint:gosec // at most maxTag
}

// The errors of parseArgon2id. Errors about numbers and base64 are made where they are found.
var (
	errParts   = errors.New("password hash is not of the form $argon2id$v=19$m=…,t=…,p=…$salt$hash")
	errVersion = errors.New("password hash must have v=19: create it again with Argon2 version 1.3")
	errLanes   = fmt.Errorf("password hash needs an m of at least %d for each of its p lanes: create it again with more memory or fewer lanes", kiBOfLane)
	errWork    = fmt.Errorf("password hash takes too long to check: create it again with m times t at most %d KiB", maxKiBTimesPasses)
)

// parseArgon2id parses a PHC string whose scheme is argon2id.
func parseArgon2id(text string) (a argon2id, err error) {
	parts := strings.Split(text, "$") // "", argon2id, v, parameters, salt, tag
	if len(parts) != 6 {
		return argon2id{}, errParts
	}
	if parts[2] != argon2VersionField {
		return argon2id{}, errVersion
	}
	costs := strings.Split(parts[3], ",")
	if len(costs) != 3 {
		return argon2id{}, errParts
	}
	a.spelling = text
	if a.kiB, err = parseNumber[uint32](costs[0], "m", kiBOfLane, maxKiB); err != nil {
		return argon2id{}, err
	}
	if a.passes, err = parseNumber[uint32](costs[1], "t", 1, maxPasses); err != nil {
		return argon2id{}, err
	}
	if a.lanes, err = parseNumber[uint8](costs[2], "p", 1, maxLanes); err != nil {
		return argon2id{}, err
	}
	if a.kiB < kiBOfLane*uint32(a.lanes) {
		return argon2id{}, errLanes
	}
	if a.kiB*a.passes > maxKiBTimesPasses { // the factors are bounded: no overflow
		return argon2id{}, errWork
	}
	if a.salt, err = parseBase64(parts[4], "salt", minSalt, maxSalt); err != nil {
		return argon2id{}, err
	}
	if a.tag, err = parseBase64(parts[5], "hash", minTag, maxTag); err != nil {
		return argon2id{}, err
	}
	return a, nil
}

// parseNumber parses "name=123", and accepts one spelling of 123.
func parseNumber[N uint8 | uint32](text, name string, low, high N) (N, error) {
	digits, named := strings.CutPrefix(text, name+"=")
	n, err := strconv.ParseUint(digits, 10, 32)
	if !named || err != nil || n < uint64(low) || n > uint64(high) || digits != strconv.FormatUint(n, 10) {
		return 0, fmt.Errorf("password hash must have in this place %s=, and a whole number from %d to %d without leading zeros", name, low, high)
	}
	return N(n), nil
}

// parseBase64 parses base64, and accepts one spelling. A strict decoder is not enough: it skips
// newlines.
func parseBase64(text, name string, low, high int) (string, error) {
	encoding := base64.RawStdEncoding.Strict()
	raw, err := encoding.DecodeString(text)
	if err != nil || encoding.EncodeToString(raw) != text {
		return "", fmt.Errorf("password hash has a %s that is not standard base64 without padding", name)
	}
	if len(raw) < low || len(raw) > high {
		return "", fmt.Errorf("password hash has a %s that is not of %d to %d bytes", name, low, high)
	}
	return string(raw), nil
}

// Hash returns a PHC argon2id hash of a password, with 16 bytes of salt from entropy. entropy is
// crypto/rand.Reader except in tests. The costs are the defaults: 19 MiB, two passes, one lane (see
// Stored.Memory of the zero Stored). The operator itself hashes no passwords: Hash is for tests,
// for the demo and for callers that need a text that ParseHash accepts. It waits for no slot of a
// Checker. It returns ErrMalformed for a password that Presented would reject.
func Hash(presented Secret, entropy io.Reader) (string, error) {
	text, ok := presented.checkable()
	if !ok {
		return "", ErrMalformed
	}
	salt := make([]byte, defaultSaltLength)
	if _, err := io.ReadFull(entropy, salt); err != nil {
		return "", fmt.Errorf("read the salt of a password hash: %w", err)
	}
	a := defaults
	a.salt = string(salt)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$%s$m=%d,t=%d,p=%d$%s$%s", argon2VersionField, a.kiB, a.passes, a.lanes,
		b64.EncodeToString(salt), b64.EncodeToString(a.computeTag(text, defaultTagLength))), nil
}
