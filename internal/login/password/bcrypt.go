package password

import (
	"encoding/base64"
	"fmt"

	"golang.org/x/crypto/bcrypt"
)

// Bounds and layout of a bcrypt hash: $2y$ 05 $, then 22 characters of salt and 31 of hash.
const (
	minCost, maxCost  = bcrypt.MinCost, 14
	bcryptLength      = 60
	bcryptCost        = 4
	bcryptSalt        = 7
	bcryptTag         = bcryptSalt + 22
	bcryptMaxPassword = 72      // bytes of a password that bcrypt reads
	bcryptMemory      = 8 << 10 // Blowfish's tables take 4 KiB, and the values around them less than 4 KiB more
)

// bcryptEncoding is base64 in the alphabet of crypt(5).
var bcryptEncoding = base64.NewEncoding("./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789").WithPadding(base64.NoPadding).Strict()

// The errors that parseBcrypt returns.
var (
	errBcrypt = fmt.Errorf("password hash is not in the form of bcrypt: want %d characters such as $2y$10$ and 53 of ./A-Za-z0-9; copy it again", bcryptLength)
	errCost   = fmt.Errorf("password hash must have a bcrypt cost of two digits from %02d to %d: create it again, as with htpasswd -B -C 10", minCost, maxCost)
)

// bcryptHash is a hash in crypt form. The prefixes $2a$, $2b$ and $2y$ differ only by bugs of old
// implementations; all implementations in use compute the same hash.
type bcryptHash string

func (b bcryptHash) text() string { return string(b) }

func (bcryptHash) memory() int64 { return bcryptMemory }

// matches rejects a password of which bcrypt would read only the beginning. A user who sets a
// longer password expects all of it to count.
func (b bcryptHash) matches(presented string) bool {
	read := presented[:min(len(presented), bcryptMaxPassword)]
	same := bcrypt.CompareHashAndPassword([]byte(b), []byte(read)) == nil // in constant time
	return same && len(presented) <= bcryptMaxPassword
}

// parseBcrypt parses a text that starts with $2a$, $2b$ or $2y$.
func parseBcrypt(text string) (bcryptHash, error) {
	if len(text) != bcryptLength || text[bcryptSalt-1] != '$' {
		return "", errBcrypt
	}
	cost, err := bcrypt.Cost([]byte(text))
	if err != nil || cost < minCost || cost > maxCost || fmt.Sprintf("%02d", cost) != text[bcryptCost:bcryptSalt-1] {
		return "", errCost
	}
	for _, part := range []string{text[bcryptSalt:bcryptTag], text[bcryptTag:]} {
		raw, err := bcryptEncoding.DecodeString(part)
		// The decoder skips newlines, even a strict one.
		if err != nil || bcryptEncoding.EncodeToString(raw) != part {
			return "", errBcrypt
		}
	}
	return bcryptHash(text), nil
}
