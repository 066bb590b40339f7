package endpoint

import (
	"net/http"
	"strings"
)

// CredentialHeaders are the headers in which a request may present a credential.
var CredentialHeaders = []string{"Authorization", "X-Security-Token", "Authentication"}

// Credentials are the credentials that a request presents.
type Credentials struct {
	Text        string
	IsAmbiguous bool   // the request presents several, so that its caller is ambiguous
	Session     string // session ID that goes with the credential
}

// add adds a credential. The same credential twice counts as two.
func (p *Credentials) add(text string) {
	if p.Text != "" || p.IsAmbiguous {
		p.Text, p.IsAmbiguous = "", true
		return
	}
	p.Text = text
}

// CredentialsInHeaders returns the bearer credential in a request's headers: Authorization,
// X-Security-Token, or Authentication, which some programs send in place of Authorization. It
// ignores credentials of other schemes.
func CredentialsInHeaders(h http.Header) Credentials {
	var p Credentials
	for _, v := range h["Authorization"] {
		if text, ok := bearer(v); ok {
			p.add(text)
		}
	}
	for _, v := range h["X-Security-Token"] {
		if v != "" {
			p.add(v)
		}
	}
	for _, v := range h["Authentication"] {
		if text, ok := bearer(v); ok {
			p.add(text)
		}
	}
	return p
}

// bearer returns the credential in "Bearer credential". The scheme is case-insensitive (RFC 9110,
// section 11.1).
func bearer(value string) (text string, ok bool) {
	const scheme = "bearer "
	if len(value) < len(scheme) || !strings.EqualFold(value[:len(scheme)], scheme) {
		return "", false
	}
	text = strings.TrimLeft(value[len(scheme):], " ")
	return text, text != ""
}

// MaxCheckRequest is the maximum size of a CheckRequest in bytes: it holds headers and no body.
const MaxCheckRequest = 128 << 10
