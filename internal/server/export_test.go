package server

import (
	"net/http"
	"net/netip"
	"time"

	"google.golang.org/grpc"

	"github.com/apptoken/operator/internal/server/authz"
	"github.com/apptoken/operator/internal/server/endpoint"
)

// SetTimeouts sets the time that a peer has to send its headers, and its whole request.
func (l *Listener) SetTimeouts(most time.Duration) { l.timeoutOverride = most }

// ParseQueryRequirements is required, for tests.
var ParseQueryRequirements = authz.ParseQueryRequirements

// ParsePathRequirements is authz.ParsePathRequirements, for tests.
var ParsePathRequirements = authz.ParsePathRequirements

// GRPCWithTimeout is GRPC with the time that a call may take.
func (d *Endpoints) GRPCWithTimeout(most time.Duration) *grpc.Server { return d.newGRPCServer(most) }

// Presented returns what a request presents: a credential, whether there are several, and the
// session ID.
func Presented(h http.Header) (text string, many bool, session string) {
	p := endpoint.PresentedInHeadersAndCookies(h)
	return p.Text, p.IsAmbiguous, p.Session
}

// SetIdleTimeout sets the idle timeout of a connection without an accepted credential.
func (l *Listener) SetIdleTimeout(idle time.Duration) { l.idleOverride = idle }

// SourceOf returns the source of a request by its lines of X-Forwarded-For or Forwarded. It is zero
// where the source is unknown.
func SourceOf(remote string, lines []string, trusted []netip.Prefix, isForwarded bool) netip.Addr {
	if isForwarded {
		return endpoint.OriginOf(remote, lines, trusted, endpoint.ReadForwarded).Source
	}
	return endpoint.OriginOf(remote, lines, trusted, endpoint.ReadXForwardedFor).Source
}
