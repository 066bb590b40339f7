package token

import (
	"bytes"
	"iter"
	"strings"
)

// minRedactedDigits is the number of digits from which Redact treats a run as a secret or part of
// one. A shorter run of a real token leaves at least 160 bits to guess.
const minRedactedDigits = 16

// Find yields every well-formed token of a text, in order. Leak scanners find tokens in the same
// way, and the operator finds the token in a Secret with it. A token is a whole word: it has no
// base62 digit and no underscore directly beside it. Find only reads s, and the tokens hold copies.
func Find(s []byte) iter.Seq[Token] {
	return func(yield func(Token) bool) {
		for at := 0; ; {
			next := bytes.IndexByte(s[at:], '_')
			if next < 0 {
				return
			}
			at += next + 1
			start := at - randomAt
			end := start + Length
			if start < 0 || end > len(s) || isWordByteAt(s, start-1) || isWordByteAt(s, end) {
				continue
			}
			var t text
			if kind := parseInto(&t, s[start:end]); kind != 0 && !yield(Token{Secret: newSecret(t), kind: kind}) {
				return
			}
		}
	}
}

// isWordByteAt reports whether there is a byte at i that belongs to a word.
func isWordByteAt(text []byte, i int) bool {
	return i >= 0 && i < len(text) && (text[i] == '_' || digitValue[text[i]] != noDigit)
}

// Redact returns s with "<prefix>_[redacted]" in place of each token. It is the last safeguard for
// texts from elsewhere, such as errors of a library, and does not permit logging what a client
// presented. It errs on the safe side: in "%3Data_…", or in a token with a typing error, the secret
// is present all the same. So a prefix and 16 digits suffice, and all digits that follow are
// removed.
func Redact(s string) string {
	var out strings.Builder
	done := 0 // s[:done] is in out or redacted
	for at := 0; ; {
		next := strings.IndexByte(s[at:], '_')
		if next < 0 {
			break
		}
		at += next + 1
		if at < randomAt || kindOf(s[at-randomAt:at-1]) == 0 {
			continue
		}
		end := at
		for end < len(s) && digitValue[s[end]] != noDigit {
			end++
		}
		if end-at < minRedactedDigits {
			continue
		}
		if end < len(s) && s[end] == '_' && kindOf(s[end-prefixLen:end]) != 0 {
			end -= prefixLen // the prefix of a token that follows directly
		}
		out.WriteString(s[done:at])
		out.WriteString("[redacted]")
		done = end
		at = end
	}
	if done == 0 {
		return s
	}
	out.WriteString(s[done:])
	return out.String()
}
