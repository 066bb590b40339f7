package render

import (
	"encoding/base64"
	"iter"
	"regexp"

	"github.com/apptoken/operator/internal/token"
)

// base64Run matches runs of base64 that are long enough to hold a token.
var base64Run = regexp.MustCompile(`[A-Za-z0-9+/]{60,}={0,2}`)

// Find returns the token with the digest want from the data of a Secret, plain or in base64. It
// reports whether the token is there.
func Find(data map[string][]byte, want token.Digest) (token.Token, bool) {
	for tok := range Tokens(data) {
		if want.Matches(tok) {
			return tok, true
		}
	}
	return token.Token{}, false
}

// Tokens returns every token in the data of a Secret, plain or in base64, in no particular order.
func Tokens(data map[string][]byte) iter.Seq[token.Token] {
	return func(yield func(token.Token) bool) {
		for _, value := range data {
			if !yieldTokens(value, yield) {
				return
			}
		}
	}
}

// yieldTokens yields the tokens of one value, and reports whether the caller wants more.
func yieldTokens(value []byte, yield func(token.Token) bool) bool {
	for tok := range token.Find(value) {
		if !yield(tok) {
			return false
		}
	}
	for _, run := range base64Run.FindAll(value, -1) {
		plain := make([]byte, base64.StdEncoding.DecodedLen(len(run)))
		n, err := base64.StdEncoding.Decode(plain, run)
		if err != nil {
			continue
		}
		for tok := range token.Find(plain[:n]) {
			if !yield(tok) {
				return false
			}
		}
	}
	return true
}
