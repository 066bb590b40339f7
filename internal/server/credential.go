package server

import (
	"net/http"
	"strings"
)

// credentialHeaders are those in which a request may present a credential.
var credentialHeaders = []string{"Authorization", "X-Security-Token", "Authentication"}

// presented is what a request shows of credentials.
type presented struct {
	text    string
	many    bool   // more than one: whose request would it be?
	session string // the session id that goes with it
}

// take notes a credential that is there. The same one twice is two.
func (p *presented) take(text string) {
	if p.text != "" || p.many {
		p.text, p.many = "", true
		return
	}
	p.text = text
}

// credentialOf takes the bearer credential out of a request's headers: Authorization, X-Security-Token, or
// Authentication, which is how some programs spell the first. Credentials of other schemes are none of ours.
func credentialOf(h http.Header) presented {
	var p presented
	for _, v := range h["Authorization"] {
		if text, ok := bearer(v); ok {
			p.take(text)
		}
	}
	for _, v := range h["X-Security-Token"] {
		if v != "" {
			p.take(v)
		}
	}
	for _, v := range h["Authentication"] {
		if text, ok := bearer(v); ok {
			p.take(text)
		}
	}
	return p
}

// bearer takes the text out of "Bearer text"; the scheme's case does not matter (RFC 9110, 11.1).
func bearer(value string) (text string, ok bool) {
	const scheme = "bearer "
	if len(value) < len(scheme) || !strings.EqualFold(value[:len(scheme)], scheme) {
		return "", false
	}
	text = strings.TrimLeft(value[len(scheme):], " ")
	return text, text != ""
}
