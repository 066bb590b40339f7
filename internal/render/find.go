package render

import (
	"encoding/base64"
	"regexp"

	"github.com/apptoken/operator/internal/token"
)

// encoded finds runs of base64 that are long enough to hold a token.
var encoded = regexp.MustCompile(`[A-Za-z0-9+/]{60,}={0,2}`)

// Find looks for the token of the digest want in the data of a Secret, plain or in base64.
func Find(data map[string][]byte, want token.Digest) (token.Token, bool) {
	for _, value := range data {
		if tok, ok := find(value, want); ok {
			return tok, true
		}
	}
	return token.Token{}, false
}

func find(value []byte, want token.Digest) (token.Token, bool) {
	for tok := range token.Find(value) {
		if want.Matches(tok) {
			return tok, true
		}
	}
	for _, run := range encoded.FindAll(value, -1) {
		plain := make([]byte, base64.StdEncoding.DecodedLen(len(run)))
		n, err := base64.StdEncoding.Decode(plain, run)
		if err != nil {
			continue
		}
		for tok := range token.Find(plain[:n]) {
			if want.Matches(tok) {
				return tok, true
			}
		}
	}
	return token.Token{}, false
}
