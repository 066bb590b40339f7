package password

import (
	"errors"
	"fmt"
	"strings"
)

// maxHash is longer than any hash within the bounds, even with a user name in front of it.
const maxHash = 512

// The errors of ParseHash that do not depend on the scheme.
var (
	errNoHash       = errors.New("password hash is empty: want PHC argon2id or bcrypt")
	errLongHash     = fmt.Errorf("password hash is longer than the %d bytes that any hash needs: want one PHC argon2id or bcrypt hash and nothing else", maxHash)
	errHashWithName = errors.New("password hash starts with a name, as htpasswd prints it: keep only what follows the colon")
	errScheme       = errors.New("password hash is of an unknown scheme: want one that starts with $argon2id$, $2a$, $2b$ or $2y$")
)

// ParseHash parses the hash of a password:
//
//	$argon2id$v=19$m=65536,t=3,p=4$<salt>$<hash>   PHC string, standard base64 without padding
//	$2y$10$<salt and hash, 53 characters>          bcrypt in crypt form, also $2a$ and $2b$;
//	                                               htpasswd -B prints it after "name:"
//
// A hash has one spelling: numbers without leading zeros or signs, no spare bits, and nothing
// before or after it except newlines at the end, as files have them. The bounds keep one user from
// exhausting the operator (see MaxMemory):
//
//	argon2id   m from 8p KiB to 256 MiB, t from 1 to 16, p from 1 to 16, m times t at most 1 GiB,
//	           salt 8 to 64 bytes, hash 16 to 64
//	bcrypt     cost 4 to 14
//
// An error names what is wrong and what to change, and repeats nothing of text.
//
// PHC: https://github.com/P-H-C/phc-string-format/blob/master/phc-sf-spec.md. Crypt forms:
// crypt(5).
func ParseHash(text string) (Stored, error) {
	text = strings.TrimRight(text, "\r\n")
	switch {
	case text == "":
		return Stored{}, errNoHash
	case len(text) > maxHash:
		return Stored{}, errLongHash
	case text[0] != '$' && strings.Contains(text, ":"): // no hash has a colon
		return Stored{}, errHashWithName
	}
	text = strings.Clone(text)
	switch scheme, _, _ := strings.Cut(text[1:], "$"); scheme {
	case "argon2id":
		return parseStored(text, parseArgon2id)
	case "2a", "2b", "2y":
		return parseStored(text, parseBcrypt)
	default:
		return Stored{}, errScheme
	}
}

// parseStored wraps the result of one scheme's parser in a Stored.
func parseStored[S scheme](text string, reader func(string) (S, error)) (Stored, error) {
	s, err := reader(text)
	if err != nil {
		return Stored{}, err
	}
	return newStored(s), nil
}
