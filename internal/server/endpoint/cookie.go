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
//
// A remember-me cookie beside a token in a header is ignored. A program that logs in keeps the
// cookie, whatever token it then presents in a header.
func CredentialsInHeadersAndCookies(h http.Header) Credentials {
	p := CredentialsInHeaders(h)
	if len(h["Cookie"]) == 0 {
		return p
	}
	hasHeader, sessions := p.Text != "" || p.IsAmbiguous, 0
	for pair := range cookiePairs(h["Cookie"]) {
		name, value, _ := strings.Cut(pair, "=")
		switch value = unquoted(value); name {
		case cookieCredential:
			if value != "" {
				p.add(value)
			}
		case CookieRememberMe:
			if value != "" && !hasHeader {
				p.add(value)
			}
		case CookieSession:
			if sessions == 0 || p.Session != value {
				sessions++
			}
			p.Session = value
		}
	}
	if sessions > 1 {
		p.Session = "" // ambiguous
	}
	if p.Text != "" {
		p.Basic = ""
	}
	return p
}

// RememberMeInCookie returns the credential in the remember-me cookie of a request, for an endpoint
// that acts on it. A browser sends the cookie with requests that any page makes. So it does not
// count in a request of another site's page, whichever origins may read responses.
func RememberMeInCookie(r *http.Request) (p Credentials) {
	if len(r.Header["Cookie"]) == 0 || IsCrossSite(r) {
		return p
	}
	for pair := range cookiePairs(r.Header["Cookie"]) {
		if name, value, _ := strings.Cut(pair, "="); name == CookieRememberMe && unquoted(value) != "" {
			p.add(unquoted(value))
		}
	}
	return p
}

// unquoted returns the value of a cookie without the double quotes around it (RFC 6265, section
// 4.1.1). No token and no session ID has a quote.
func unquoted(value string) string {
	if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
		return value[1 : len(value)-1]
	}
	return value
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

// CookiesWithoutCredential returns the cookies of a request without those that hold a credential,
// and reports whether there was one. rest is empty if no cookie is left, or if the others are
// not valid UTF-8.
func CookiesWithoutCredential(lines []string) (rest string, there bool) {
	var others []string
	for pair := range cookiePairs(lines) {
		if name, _, _ := strings.Cut(pair, "="); name == cookieCredential || name == CookieRememberMe {
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
