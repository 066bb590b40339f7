package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"google.golang.org/grpc"

	"github.com/apptoken/operator/internal/server/endpoint"
	"github.com/apptoken/operator/internal/token"
)

// MaxResponseTime is the maximum time of a response, from the end of the request's headers. A
// listener that stops waits as long for requests in progress. It is the sum of the time to read a
// request, the wait for a password check, and the wait for the API server. So nothing is written
// for a response that cannot arrive.
const MaxResponseTime = 25 * time.Second

// Timeouts and limits of every listener. They end connections of peers that are slow or send too
// much.
const (
	headerTimeout = 5 * time.Second
	readTimeout   = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	// maxHeader is the maximum size of a request's headers in bytes, over HTTP/1 and HTTP/2.
	// Gateways let callers send up to 60 KiB. They turn any response of this server but 200, 401
	// and 403 into an error of their own. HTTP/2 counts 32 bytes more for each header (RFC 9113,
	// section 6.5.2).
	maxHeader = endpoint.MaxCheckRequest + 8<<10
)

// Listener serves one address on every replica. It stops when its context ends and the requests in
// progress are done.
type Listener struct {
	Address string
	Handler http.Handler
	GRPC    *grpc.Server // replaces Handler if it is set
	TLS     *tls.Config  // nil means no TLS
	// ShutdownDelay is how long new requests are still accepted after the context
	// ends. In that time, callers notice that the replica is not ready any more.
	ShutdownDelay time.Duration
	Log           logr.Logger

	MaxConnections int            // concurrent; 0 means no limit. One address has at most a quarter
	Trusted        []netip.Prefix // proxies that may have all connections
	OnRefused      func()         // called for each connection beyond the limit; may be nil

	timeoutOverride time.Duration // replaces readTimeout and headerTimeout in tests if it is positive
	idleOverride    time.Duration // replaces unauthenticatedIdleTimeout in tests if it is positive
	socket          net.Listener
	isStopping      atomic.Bool
	localAddr       atomic.Pointer[net.Addr]
}

// NeedLeaderElection returns false: every replica serves.
func (*Listener) NeedLeaderElection() bool { return false }

// Addr returns the local address, or nil before Start.
func (l *Listener) Addr() net.Addr {
	if a := l.localAddr.Load(); a != nil {
		return *a
	}
	return nil
}

// Ready returns an error before Start, and from the end of its context on.
func (l *Listener) Ready() error {
	if l.localAddr.Load() == nil || l.isStopping.Load() {
		return errors.New("not listening")
	}
	return nil
}

// connServer serves the connections of a listening socket.
type connServer interface {
	Serve(socket net.Listener) error
	// Shutdown accepts no new requests, and waits for those in progress until ctx ends.
	Shutdown(ctx context.Context) error
}

// Listen binds the address, so that Start cannot fail to. Connections are queued until Start.
func (l *Listener) Listen(ctx context.Context) error {
	socket, err := (&net.ListenConfig{}).Listen(ctx, "tcp", l.Address)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	l.socket = socket
	return nil
}

// Close releases the address if Listen has bound it and Start is never called.
func (l *Listener) Close() error {
	if l.socket == nil {
		return nil
	}
	return l.socket.Close()
}

// Start serves until ctx ends and the shutdown delay and the requests in progress are over.
func (l *Listener) Start(ctx context.Context) error {
	if l.socket == nil {
		if err := l.Listen(ctx); err != nil {
			return err
		}
	}
	socket := &limitedListener{Listener: l.socket, max: l.MaxConnections, trusted: l.Trusted, refused: l.OnRefused, idle: cmp.Or(l.idleOverride, unauthenticatedIdleTimeout)}
	server := l.newHTTPServer(context.WithoutCancel(ctx))
	if l.GRPC != nil {
		server = grpcServer{l.GRPC, l.TLS}
	}
	bound := socket.Addr()
	l.localAddr.Store(&bound)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(socket) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve %s: %w", l.Address, err)
	case <-ctx.Done():
	}
	l.isStopping.Store(true)
	delay := time.NewTimer(l.ShutdownDelay)
	defer delay.Stop()
	<-delay.C
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), MaxResponseTime)
	defer cancel()
	if err := server.Shutdown(ending); err != nil {
		return fmt.Errorf("stop serving %s: %w", l.Address, err)
	}
	return nil
}

// newHTTPServer returns a server of HTTP/1 and HTTP/2.
func (l *Listener) newHTTPServer(ctx context.Context) connServer {
	headers, body := headerTimeout, readTimeout
	if l.timeoutOverride > 0 {
		headers, body = l.timeoutOverride, l.timeoutOverride
	}
	server := &http.Server{
		Handler:                      RespondBeforeBody(recoverHandler(l.Handler, l.Log)),
		DisableGeneralOptionsHandler: true,
		ReadHeaderTimeout:            headers,
		ReadTimeout:                  body,
		WriteTimeout:                 MaxResponseTime,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               maxHeader,
		TLSConfig:                    l.TLS.Clone(), // the server completes its copy
		ErrorLog:                     log.New(netHTTPLog{l.Log}, "", 0),
		BaseContext:                  func(net.Listener) context.Context { return ctx },
		ConnContext:                  withConn,
		HTTP2:                        &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
	}
	if l.TLS == nil {
		server.Protocols = new(http.Protocols)
		server.Protocols.SetHTTP1(true)
		server.Protocols.SetUnencryptedHTTP2(true)
	}
	return httpServer{server}
}

type httpServer struct{ *http.Server }

func (s httpServer) Serve(socket net.Listener) error {
	if s.TLSConfig != nil {
		return s.ServeTLS(socket, "", "")
	}
	return s.Server.Serve(socket)
}

func (s httpServer) Shutdown(ctx context.Context) error {
	if err := s.Server.Shutdown(ctx); err != nil {
		return errors.Join(err, s.Close())
	}
	return nil
}

// grpcServer serves gRPC with grpc-go's own transport. The handler for net/http serves half as many
// calls.
type grpcServer struct {
	server *grpc.Server
	tls    *tls.Config
}

func (s grpcServer) Serve(socket net.Listener) error {
	if s.tls != nil {
		config := s.tls.Clone()
		config.NextProtos = []string{"h2"}
		socket = tls.NewListener(socket, config)
	}
	return s.server.Serve(socket)
}

func (s grpcServer) Shutdown(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		s.server.GracefulStop()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		s.server.Stop()
		return ctx.Err()
	}
}

// recoverHandler recovers a panic, so that it fails one request and not the process.
func recoverHandler(next http.Handler, log logr.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil {
				log.Error(fmt.Errorf("%v", p), "a request failed", "path", token.Redact(r.URL.Path), "stack", string(debug.Stack()))
				endpoint.WriteError(endpoint.WithFaultFormat(w, r.URL.Path), http.StatusInternalServerError, "server_error", "this request failed here")
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// netHTTPLog logs what net/http reports at verbosity 1: broken connections and failed handshakes,
// which peers cause.
type netHTTPLog struct{ log logr.Logger }

func (q netHTTPLog) Write(line []byte) (int, error) {
	q.log.V(1).Info("connection", "what", string(line))
	return len(line), nil
}
