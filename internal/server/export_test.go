package server

import (
	"net/http"
	"net/netip"
	"time"

	"google.golang.org/grpc"
)

// Hurry shortens the time that a peer has to send its headers, and its whole request.
func (l *Listener) Hurry(most time.Duration) { l.slowest = most }

// Required reads what the query of a question requires.
var Required = required

// RequiredInPath reads what the path of a question requires.
var RequiredInPath = requiredInPath

// GRPCWithin is GRPC for those who say what they have to within a time.
func (d *Doors) GRPCWithin(most time.Duration) *grpc.Server { return d.grpc(most) }

// Presented is what a request presents: a credential, whether there are more, and the session that goes with it.
func Presented(h http.Header) (text string, many bool, session string) {
	p := presentedIn(h)
	return p.text, p.many, p.session
}

// LetGoAfter shortens the time that a connection may be silent on which no credential was accepted.
func (l *Listener) LetGoAfter(idle time.Duration) { l.idle = idle }

// SourceOf returns the address that a request came from, by the lines of X-Forwarded-For or of Forwarded. It is zero where that
// is unknown.
func SourceOf(remote string, lines []string, trusted []netip.Prefix, isForwarded bool) netip.Addr {
	if isForwarded {
		return originOf(remote, lines, trusted, readForwarded).source
	}
	return originOf(remote, lines, trusted, readXForwardedFor).source
}
