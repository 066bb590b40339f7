package password

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
)

// Hasher computes keyed hashes of names and passwords, for comparisons within one process. Its key
// is random and never leaves the process. A hash is worthless without it, so a hash that is fast to
// compute suffices. It is safe for concurrent use.
type Hasher struct{ key [sha256.BlockSize]byte }

// NewHasher returns a Hasher with a key of its own.
func NewHasher() *Hasher {
	h := &Hasher{}
	_, _ = rand.Read(h.key[:]) // it never returns an error
	return h
}

// KeyedHash is the result of a Hasher. Compare it in constant time.
type KeyedHash [sha256.Size]byte

// Sum returns the keyed hash of a name, a password and the fingerprint of the stored password. It
// allocates nothing for the lengths that names and passwords usually have. ok is false for a
// password that matches nothing.
//
// The lengths are part of the text, so that no two combinations have the same text. That the text
// of SHA-256 could be extended is of no use to a caller, which never sees a hash.
func (h *Hasher) Sum(name string, presented Secret, fingerprint string) (sum KeyedHash, ok bool) {
	secret, ok := presented.checkable()
	if !ok {
		return KeyedHash{}, false
	}
	text := append(make([]byte, 0, 512), h.key[:]...)
	text = binary.BigEndian.AppendUint32(text, uint32(len(name)))   //nolint:gosec // a request is shorter
	text = binary.BigEndian.AppendUint32(text, uint32(len(secret))) //nolint:gosec // at most MaxLength
	text = append(append(append(text, name...), secret...), fingerprint...)
	return sha256.Sum256(text), true
}
