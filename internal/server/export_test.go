package server

import (
	"net/http"
	"net/netip"
	"time"

	"google.golang.org/grpc"
)

// Hurry sets the time that a peer has to send its headers, and its whole request.
func (l *Listener) Hurry(most time.Duration) { l.slowest = most }

// Required is required, for tests.
var Required = required

// RequiredInPath is requiredInPath, for tests.
var RequiredInPath = requiredInPath

// GRPCWithin is GRPC with the time that a call may take.
func (d *Doors) GRPCWithin(most time.Duration) *grpc.Server { return d.grpc(most) }

// Presented returns what a request presents: a credential, whether there are several, and the
// session ID.
func Presented(h http.Header) (text string, many bool, session string) {
	p := presentedIn(h)
	return p.text, p.many, p.session
}

// LetGoAfter sets the idle timeout of a connection without an accepted credential.
func (l *Listener) LetGoAfter(idle time.Duration) { l.idle = idle }

// SourceOf returns the source of a request by its lines of X-Forwarded-For or Forwarded. It is zero
// where the source is unknown.
func SourceOf(remote string, lines []string, trusted []netip.Prefix, isForwarded bool) netip.Addr {
	if isForwarded {
		return originOf(remote, lines, trusted, readForwarded).source
	}
	return originOf(remote, lines, trusted, readXForwardedFor).source
}
