package server

import (
	"net/http"
	"net/netip"
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

// sourceOf is the address that a request came from: that of the connection, or, where that is a proxy that we trust, the
// last one in X-Forwarded-For that is none. Zero if it cannot be told: where a proxy that we do not trust says something,
// or one that we trust says nothing, the address of the connection is that of the proxy and of nobody else.
func sourceOf(remote string, forwarded []string, trusted []netip.Prefix) netip.Addr {
	source := peerOf(remote)
	if trusts(trusted, source) != (len(forwarded) > 0) {
		return netip.Addr{}
	}
	for i := len(forwarded) - 1; i >= 0; i-- {
		rest := forwarded[i]
		for rest != "" && trusts(trusted, source) {
			var last string
			if comma := strings.LastIndexByte(rest, ','); comma >= 0 {
				rest, last = rest[:comma], rest[comma+1:]
			} else {
				rest, last = "", rest
			}
			next, err := netip.ParseAddr(strings.TrimSpace(last))
			if err != nil {
				return netip.Addr{} // a proxy that we trust says what we do not understand
			}
			source = next.Unmap().WithZone("")
		}
	}
	return source
}

// peerOf is the address at the other end of a connection. Zero if it has none.
func peerOf(remote string) netip.Addr {
	peer, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return peer.Addr().Unmap().WithZone("")
}

func trusts(trusted []netip.Prefix, a netip.Addr) bool {
	for _, p := range trusted {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
