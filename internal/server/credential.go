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

// sourceOf returns the address that a request came from: that of the connection, or, where that is a trusted proxy, the
// last one in X-Forwarded-For that is none. It is zero where the source is unknown: an untrusted peer sends the header, or
// a trusted proxy sends none, an empty element, or what is no address. The address of the proxy would then be believed to
// be that of each of its callers, and ranges that hold the proxy would let all of them in.
func sourceOf(remote string, forwarded []string, trusted []netip.Prefix) netip.Addr {
	source := peerOf(remote)
	if trusts(trusted, source) != (len(forwarded) > 0) {
		return netip.Addr{}
	}
	for i := len(forwarded) - 1; i >= 0; i-- {
		rest := forwarded[i]
		for more := true; more && trusts(trusted, source); {
			var last string
			rest, last, more = cutLast(rest)
			hop, ok := parseHop(last)
			if !ok {
				return netip.Addr{}
			}
			source = hop
		}
	}
	return source
}

// cutLast splits a list at its last comma. more reports whether elements are left.
func cutLast(list string) (rest, last string, more bool) {
	if comma := strings.LastIndexByte(list, ','); comma >= 0 {
		return list[:comma], list[comma+1:], true
	}
	return "", list, false
}

// parseHop parses one element of X-Forwarded-For: an address, or an address and a port, as Azure's gateways write it.
// IPv6 with a port is in brackets. It tells the two forms apart before it parses, since an error takes memory.
func parseHop(text string) (netip.Addr, bool) {
	text = strings.Trim(text, " \t")
	var hop netip.Addr
	switch {
	case text == "":
		return netip.Addr{}, false
	case strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]"):
		hop, _ = netip.ParseAddr(text[1 : len(text)-1]) //nolint:errcheck // zero then
		if !hop.Is6() {
			return netip.Addr{}, false
		}
	case text[0] == '[' || strings.Count(text, ":") == 1:
		at, _ := netip.ParseAddrPort(text) //nolint:errcheck // zero then
		hop = at.Addr()
	default:
		hop, _ = netip.ParseAddr(text) //nolint:errcheck // zero then
	}
	return hop.Unmap().WithZone(""), hop.IsValid()
}

// limitedAs returns the address that limits count a request under: its source, or the address of the connection where the
// source is unknown. Otherwise all whose source is unknown would share one key, and one stranger would use up the limits of
// all of them.
func limitedAs(source netip.Addr, remote string) netip.Addr {
	if source.IsValid() {
		return source
	}
	return peerOf(remote)
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
