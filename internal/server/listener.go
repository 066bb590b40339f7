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

	"github.com/apptoken/operator/internal/token"
)

// LongestAnswer is how long an answer may take from the end of the request's headers, and how long a listener that is told to
// stop waits for those that were begun. It is as long as the rest of a request, a wait for the check of a password and the
// patience with the API server together: nothing is written for an answer that cannot arrive.
const LongestAnswer = 25 * time.Second

// Bounds of every listener: a peer that is slow, or says too much, is let go.
const (
	headerTimeout = 5 * time.Second
	readTimeout   = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	// maxHeader is how many bytes the headers of a request may have, over HTTP/1 and HTTP/2. Gateways let callers send up to
	// 60 KiB, and turn any answer of this server but 200, 401 and 403 into an error of their own. HTTP/2 counts 32 bytes more
	// for each header (RFC 9113, section 6.5.2).
	maxHeader = maxCheck + 8<<10
)

// Listener serves one address, on every replica, until it is told to stop and those who were being served are done.
type Listener struct {
	Address string
	Handler http.Handler
	GRPC    *grpc.Server // in place of Handler
	TLS     *tls.Config  // nil: in the clear
	// Linger is how long new requests are still taken after the order to stop, until those who ask have noticed that we
	// are not ready any more.
	Linger time.Duration
	Log    logr.Logger

	MaxConnections int            // at once; 0: there is no bound. One address has a quarter of them at most
	Trusted        []netip.Prefix // proxies that may have all of them
	Refused        func()         // is told of each connection beyond the bound; nil: nobody is

	slowest  time.Duration // of what is sent, in tests; 0: as above
	idle     time.Duration // of strangers, in tests; 0: as above
	socket   net.Listener
	stopping atomic.Bool
	bound    atomic.Pointer[net.Addr]
}

// NeedLeaderElection says that every replica serves.
func (*Listener) NeedLeaderElection() bool { return false }

// Addr is where it listens; nil until it does.
func (l *Listener) Addr() net.Addr {
	if a := l.bound.Load(); a != nil {
		return *a
	}
	return nil
}

// Ready fails until it listens, and from the order to stop on.
func (l *Listener) Ready() error {
	if l.bound.Load() == nil || l.stopping.Load() {
		return errors.New("not listening")
	}
	return nil
}

// acceptor is what serves the connections of a socket.
type acceptor interface {
	Serve(socket net.Listener) error
	// Shutdown takes nothing new, and waits for what was begun until ctx ends.
	Shutdown(ctx context.Context) error
}

// Listen takes the address, so that Start cannot fail for that. Connections wait until Start.
func (l *Listener) Listen(ctx context.Context) error {
	socket, err := (&net.ListenConfig{}).Listen(ctx, "tcp", l.Address)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	l.socket = socket
	return nil
}

// Close gives the address back, if it was taken and Start was never called.
func (l *Listener) Close() error {
	if l.socket == nil {
		return nil
	}
	return l.socket.Close()
}

// Start serves until ctx ends, and a little longer.
func (l *Listener) Start(ctx context.Context) error {
	if l.socket == nil {
		if err := l.Listen(ctx); err != nil {
			return err
		}
	}
	socket := &boundedSocket{Listener: l.socket, max: l.MaxConnections, trusted: l.Trusted, refused: l.Refused, idle: cmp.Or(l.idle, strangerIdle)}
	server := l.overHTTP(context.WithoutCancel(ctx))
	if l.GRPC != nil {
		server = overGRPC{l.GRPC, l.TLS}
	}
	bound := socket.Addr()
	l.bound.Store(&bound)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(socket) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve %s: %w", l.Address, err)
	case <-ctx.Done():
	}
	l.stopping.Store(true)
	linger := time.NewTimer(l.Linger)
	defer linger.Stop()
	<-linger.C
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), LongestAnswer)
	defer cancel()
	if err := server.Shutdown(ending); err != nil {
		return fmt.Errorf("stop serving %s: %w", l.Address, err)
	}
	return nil
}

// overHTTP serves HTTP/1 and HTTP/2.
func (l *Listener) overHTTP(ctx context.Context) acceptor {
	headers, body := headerTimeout, readTimeout
	if l.slowest > 0 {
		headers, body = l.slowest, l.slowest
	}
	server := &http.Server{
		Handler:                      AnswersFirst(guarded(l.Handler, l.Log)),
		DisableGeneralOptionsHandler: true,
		ReadHeaderTimeout:            headers,
		ReadTimeout:                  body,
		WriteTimeout:                 LongestAnswer,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               maxHeader,
		TLSConfig:                    l.TLS.Clone(), // it is completed
		ErrorLog:                     log.New(quiet{l.Log}, "", 0),
		BaseContext:                  func(net.Listener) context.Context { return ctx },
		ConnContext:                  withConn,
		HTTP2:                        &http.HTTP2Config{MaxConcurrentStreams: mostStreams},
	}
	if l.TLS == nil {
		server.Protocols = new(http.Protocols)
		server.Protocols.SetHTTP1(true)
		server.Protocols.SetUnencryptedHTTP2(true)
	}
	return webServer{server}
}

type webServer struct{ *http.Server }

func (s webServer) Serve(socket net.Listener) error {
	if s.TLSConfig != nil {
		return s.ServeTLS(socket, "", "")
	}
	return s.Server.Serve(socket)
}

func (s webServer) Shutdown(ctx context.Context) error {
	if err := s.Server.Shutdown(ctx); err != nil {
		return errors.Join(err, s.Close())
	}
	return nil
}

// overGRPC serves gRPC with its own transport: that of net/http answers half as many questions.
type overGRPC struct {
	server *grpc.Server
	tls    *tls.Config
}

func (s overGRPC) Serve(socket net.Listener) error {
	if s.tls != nil {
		config := s.tls.Clone()
		config.NextProtos = []string{"h2"}
		socket = tls.NewListener(socket, config)
	}
	return s.server.Serve(socket)
}

func (s overGRPC) Shutdown(ctx context.Context) error {
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

// guarded makes a panic a failure of one request.
func guarded(next http.Handler, log logr.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil {
				log.Error(fmt.Errorf("%v", p), "a request failed", "path", token.Redact(r.URL.Path), "stack", string(debug.Stack()))
				problem(w, http.StatusInternalServerError, "server_error", "this request failed here")
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// quiet takes what net/http logs: broken connections and handshakes, which are the peers' affair.
type quiet struct{ log logr.Logger }

func (q quiet) Write(line []byte) (int, error) {
	q.log.V(1).Info("connection", "what", string(line))
	return len(line), nil
}
