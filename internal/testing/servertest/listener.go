package servertest

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/go-logr/logr"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/apptoken/operator/internal/server"
)

// ListenerServer is a test server on the product's own listeners.
type ListenerServer struct {
	*VectorServer
	Address        string // of the HTTP endpoints
	ReviewAddress  string // of the TokenReview webhook
	gatewayAddress string // of ext_authz
	Stop           func() // stops the listeners
}

// NewListenerServer starts a ListenerServer. It calls tune on each listener before the start.
func NewListenerServer(t *testing.T, tune ...func(*server.Listener)) *ListenerServer {
	t.Helper()
	s := &ListenerServer{VectorServer: NewVectorServer(t)}
	var stops []func()
	for at, handler := range map[*string]http.Handler{&s.Address: s.Handler(), &s.ReviewAddress: s.WebhookHandler(), &s.gatewayAddress: s.GRPC()} {
		l, stop, ended := Listen(t, handler, s.AuditLog.Logger(), tune...)
		*at = l.Addr().String()
		stops = append(stops, func() {
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
	s.Stop = func() {
		for _, stop := range stops {
			stop()
		}
	}
	return s
}

var dateHeader = regexp.MustCompile(`Date: [^\r]*\r\n`)

// Send writes bytes over a connection of its own, and returns what the server sends until it closes
// the connection, without the date. If half is set, it closes its own side of the connection.
func (s *ListenerServer) Send(request string, half bool) (Response, string) {
	s.T.Helper()
	address := s.Address
	if strings.Contains(request, "/tokenreview") {
		address = s.ReviewAddress
	}
	conn, err := new(net.Dialer).DialContext(s.T.Context(), "tcp", address)
	if err != nil {
		s.T.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		s.T.Fatal(err)
	}
	go func() {
		_, _ = io.WriteString(conn, request) // a bad request is cut off
		if half {
			conn.(*net.TCPConn).CloseWrite()
		}
	}()
	wire, _ := io.ReadAll(conn)
	s.CheckNoLeak("the answer", string(wire))
	res, err := http.ReadResponse(bufio.NewReader(strings.NewReader(string(wire))), nil)
	if err != nil {
		return Response{}, string(wire) // the connection was closed without a response
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	for _, name := range []string{"Server", "X-Powered-By", "Via"} {
		if res.Header.Get(name) != "" {
			s.T.Errorf("an answer has %s: %s", name, res.Header.Get(name))
		}
	}
	// net/http itself writes errors in text/plain, about requests that it cannot parse.
	if !strings.HasPrefix(res.Header.Get("Content-Type"), "text/plain") && res.Header.Get("Cache-Control") != "no-store" {
		s.T.Errorf("an answer may be stored: %s", wire)
	}
	return Response{res.StatusCode, res.Header, string(text)}, dateHeader.ReplaceAllString(string(wire), "")
}

// DialExtAuthz returns a client of the ext_authz endpoint.
func (s *ListenerServer) DialExtAuthz() authv3.AuthorizationClient {
	s.T.Helper()
	return dialExtAuthz(s.T, s.gatewayAddress)
}

func dialExtAuthz(t *testing.T, address string) authv3.AuthorizationClient {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return authv3.NewAuthorizationClient(conn)
}

// Listen starts a listener on a free loopback port, and calls tune on it before. It returns the
// function that stops the listener, and the channel with the result of Start.
func Listen(t *testing.T, handler http.Handler, log logr.Logger, tune ...func(*server.Listener)) (l *server.Listener, stop context.CancelFunc, ended chan error) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	l = &server.Listener{Address: "127.0.0.1:0", Handler: handler, Log: log}
	if g, ok := handler.(*grpc.Server); ok {
		l.Handler, l.GRPC = nil, g
	}
	if l.Ready() == nil || l.NeedLeaderElection() {
		t.Error("it is ready before it listens, or waits to be elected")
	}
	for _, f := range tune {
		f(l)
	}
	ended = make(chan error, 1)
	go func() { ended <- l.Start(ctx) }()
	t.Cleanup(stop)
	AwaitReady(t, l, true, ended)
	return l, stop, ended
}

// AwaitReady waits until a listener is ready, or no longer ready. It fails if the listener ends
// before.
func AwaitReady(t *testing.T, l *server.Listener, ready bool, ended <-chan error) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for (l.Ready() == nil) != ready {
		select {
		case err := <-ended:
			t.Fatalf("it ended: %v", err)
		case <-tick.C:
		}
	}
}

// DialExtAuthz returns a gRPC client of the ext_authz endpoint over a real connection.
func (h *VectorServer) DialExtAuthz() authv3.AuthorizationClient {
	h.T.Helper()
	l, _, _ := Listen(h.T, h.GRPC(), h.AuditLog.Logger())
	return dialExtAuthz(h.T, l.Addr().String())
}
