package endpoint

import (
	"iter"
	"net/http"
	"strings"
	"unicode/utf8"
)

// Cookies in which a request may present a credential, and the session ID that goes with it. The
// names are case-sensitive.
const (
	cookieCredential = "spectrum.authentication.token"
	// CookieRememberMe is the cookie that a login of Funnelback sets.
	CookieRememberMe = "SPRING_SECURITY_REMEMBER_ME_COOKIE"
	CookieSession    = "SESSION"
)

// CredentialsInHeadersAndCookies returns the credential in a request's headers or in a cookie, and
// the session ID in another cookie. A browser sends cookies with requests that any page makes. So a
// credential from a cookie is only ever verified or logged out; it authorizes no other action.
func CredentialsInHeadersAndCookies(h http.Header) Credentials {
	p := CredentialsInHeaders(h)
	if len(h["Cookie"]) == 0 {
		return p
	}
	sessions := 0
	for pair := range cookiePairs(h["Cookie"]) {
		switch name, value, _ := strings.Cut(pair, "="); name {
		case cookieCredential:
			if value != "" {
				p.add(value)
			}
		case CookieSession:
			p.Session = value
			sessions++
		}
	}
	if sessions > 1 {
		p.Session = "" // ambiguous
	}
	return p
}

// cookiePairs returns the cookies of a request as they are spelled. It neither unquotes nor decodes
// them.
func cookiePairs(lines []string) iter.Seq[string] {
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

// CookiesWithoutCredential returns the cookies of a request without the credential, and reports
// whether the credential was among them. rest is empty if no cookie is left, or if the others are
// not valid UTF-8.
func CookiesWithoutCredential(lines []string) (rest string, there bool) {
	var others []string
	for pair := range cookiePairs(lines) {
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
