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
	// Basic is the header Authorization that holds a name and a password. It is empty beside a
	// token, which is then the credential. Programs and browsers add a name and a password to every
	// request.
	Basic string
}

// add adds a token. The same token in two places is one credential.
func (p *Credentials) add(text string) {
	switch {
	case p.IsAmbiguous || p.Text == text:
	case p.Text != "":
		p.setAmbiguous()
	default:
		p.Text = text
	}
}

func (p *Credentials) setAmbiguous() { p.Text, p.Basic, p.IsAmbiguous = "", "", true }

// CredentialsInHeaders returns the credential in a request's headers. It is the bearer token in
// Authorization, in X-Security-Token, or in Authentication, which some programs send in place of
// Authorization. Otherwise it is the name and the password in Authorization. These must not be
// beside a second Authorization, since another reader of the request may take that one. Other
// schemes are ignored.
func CredentialsInHeaders(h http.Header) Credentials {
	var p Credentials
	for _, v := range h["Authorization"] {
		if text, ok := bearer(v); ok {
			p.add(text)
		} else if hasPasswordScheme(v) {
			p.Basic = v
		}
	}
	if p.Basic != "" && len(h["Authorization"]) > 1 {
		p.setAmbiguous()
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
	if p.Text != "" {
		p.Basic = ""
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
