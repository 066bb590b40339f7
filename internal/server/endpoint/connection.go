package endpoint

import (
	"context"

	"google.golang.org/grpc/peer"
)

// notifiedConn is a connection that is notified when a credential was accepted on it.
type notifiedConn interface{ MarkAuthenticated() }

type connKey struct{}

// WithNotifiedConn returns a context of requests on a connection.
func WithNotifiedConn(ctx context.Context, c notifiedConn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// MarkConnAuthenticated notifies the connection of a request that a credential was accepted on it.
func MarkConnAuthenticated(ctx context.Context) {
	if c, ok := ctx.Value(connKey{}).(notifiedConn); ok {
		c.MarkAuthenticated()
		return
	}
	if gateway, ok := peer.FromContext(ctx); ok {
		if c, ok := gateway.Addr.(notifiedConn); ok {
			c.MarkAuthenticated()
		}
	}
}
