package server

import (
	"time"

	"google.golang.org/grpc"
)

// SetTimeouts sets the time that a peer has to send its headers, and its whole request.
func (l *Listener) SetTimeouts(most time.Duration) { l.timeoutOverride = most }

// GRPCWithTimeout is GRPC with the time that a call may take.
func (e *Endpoints) GRPCWithTimeout(most time.Duration) *grpc.Server { return e.newGRPCServer(most) }

// SetIdleTimeout sets the idle timeout of a connection without an accepted credential.
func (l *Listener) SetIdleTimeout(idle time.Duration) { l.idleOverride = idle }
