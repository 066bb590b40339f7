package server

import (
	"iter"
	"net/http"
	"strings"
	"unicode/utf8"
)

// Cookies in which a request may present a credential, and the session that goes with it. Each has one spelling.
const (
	cookieCredential = "spectrum.authentication.token"
	cookieSession    = "SESSION"
)

// presentedIn takes the credential out of a request's headers, or out of a cookie, and the session id out of another. A
// browser sends cookies whoever had it send the request: by a credential that is in one, nothing is done but told, or ended.
func presentedIn(h http.Header) presented {
	p := credentialOf(h)
	if len(h["Cookie"]) == 0 {
		return p
	}
	sessions := 0
	for pair := range pairs(h["Cookie"]) {
		switch name, value, _ := strings.Cut(pair, "="); name {
		case cookieCredential:
			if value != "" {
				p.take(value)
			}
		case cookieSession:
			p.session = value
			sessions++
		}
	}
	if sessions > 1 {
		p.session = "" // which one is meant?
	}
	return p
}

// pairs are the cookies of a request as they are spelt: no quotes are taken off, and nothing else is made of them.
func pairs(lines []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, line := range lines {
			for pair := range strings.SplitSeq(line, ";") {
				if pair = strings.Trim(pair, " \t"); pair != "" && !yield(pair) {
					return
				}
			}
		}
	}
}

// withoutCredential are the cookies of a request without its credential, if that is among them. Empty: none is left, or
// they cannot be told as they are.
func withoutCredential(lines []string) (rest string, there bool) {
	var others []string
	for pair := range pairs(lines) {
		if name, _, _ := strings.Cut(pair, "="); name == cookieCredential {
			there = true
		} else {
			others = append(others, pair)
		}
	}
	if rest = strings.Join(others, "; "); !utf8.ValidString(rest) {
		rest = ""
	}
	return rest, there
}
