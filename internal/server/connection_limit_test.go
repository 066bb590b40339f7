package server_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/go-logr/logr"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/apptoken/operator/internal/server"
	"github.com/apptoken/operator/internal/testing/servertest"
)

// listenWith starts a prepared listener on loopback.
func listenWith(t *testing.T, l *server.Listener) *server.Listener {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	l.Address, l.Log = "127.0.0.1:0", logr.Discard()
	ended := make(chan error, 1)
	go func() { ended <- l.Start(ctx) }()
	t.Cleanup(func() {
		stop()
		<-ended
	})
	servertest.AwaitReady(t, l, true, ended)
	return l
}

// listenPatiently is like listenWith, with requests that may take an hour: a slow request is still
// in flight after a pause of the machine. The context ends a wait for a request that ends.
func listenPatiently(t *testing.T, l *server.Listener) (*server.Listener, context.Context) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	l.SetTimeouts(time.Hour)
	return listenWith(t, l), ctx
}

// connect opens a connection from a loopback address.
func connect(t *testing.T, l *server.Listener, from string) net.Conn {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := dialer.DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// isServed reports whether a request on a connection gets a response.
func isServed(c net.Conn, headers ...string) bool {
	if _, err := io.WriteString(c, "GET /verify HTTP/1.1\r\nHost: x\r\n"+strings.Join(append(headers, "\r\n"), "\r\n")); err != nil {
		return false
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, res.Body)
	return err == nil && res.Body.Close() == nil
}

func TestListener_LimitsConnections(t *testing.T) {
	h := servertest.NewVectorServer(t)
	var refused atomic.Int64
	l := listenWith(t, &server.Listener{Handler: h.Handler(), MaxConnections: 8, OnRefused: func() { refused.Add(1) }})
	var open []net.Conn
	for _, from := range []string{"127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"} {
		for range 2 {
			c := connect(t, l, from)
			if !isServed(c) {
				t.Fatalf("a connection from %s within the bounds is not served", from)
			}
			open = append(open, c)
		}
		if isServed(connect(t, l, from)) {
			t.Errorf("%s has more than a quarter of the connections", from)
		}
	}
	if n := refused.Load(); n != 4 {
		t.Errorf("%d refusals are counted, want 4", n)
	}
	for _, c := range open[:2] {
		c.Close()
	}
	// The listener may take a moment to notice the closed connections.
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for !isServed(connect(t, l, "127.0.0.1")) {
		if ctx.Err() != nil {
			t.Fatal("a connection that was closed still counts")
		}
	}
	for _, c := range open[2:] {
		if !isServed(c) {
			t.Error("a connection within the bounds was closed for another")
		}
	}
}

func TestListener_NewSourceDisplacesTheOldestOfTheLargest(t *testing.T) {
	h := servertest.NewVectorServer(t)
	good := "X-Security-Token: " + h.Tokens["indexer"]
	var refused atomic.Int64
	l := listenWith(t, &server.Listener{Handler: h.Handler(), MaxConnections: 8, OnRefused: func() { refused.Add(1) }})
	var open []net.Conn
	for _, from := range []string{"127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"} {
		for range 2 {
			c := connect(t, l, from)
			var headers []string
			if from == "127.0.0.1" {
				headers = []string{"X-Forwarded-For: 192.0.2.1", good}
			}
			if !isServed(c, headers...) {
				t.Fatalf("a connection from %s within the bounds is not served", from)
			}
			open = append(open, c)
		}
	}
	// New sources are, for example, the kubelet or a gateway that restarts.
	for _, from := range []string{"127.0.0.5", "127.0.0.6", "127.0.0.7"} {
		if !isServed(connect(t, l, from)) {
			t.Errorf("sources that have more keep %s out", from)
		}
	}
	if isServed(connect(t, l, "127.0.0.8")) {
		t.Error("there are more connections than the bound")
	}
	if n := refused.Load(); n != 4 {
		t.Errorf("%d refusals are counted, want 4", n)
	}
	for i, c := range open {
		isDisplaced := i >= 2 && i%2 == 0
		if isServed(c) == isDisplaced {
			t.Errorf("connection %d is displaced: %v, want %v", i, !isDisplaced, isDisplaced)
		}
	}
}

func TestListener_GatewayHasConnectionsOfItsOwn(t *testing.T) {
	h := servertest.NewVectorServer(t)
	l := listenWith(t, &server.Listener{Handler: h.Handler(), MaxConnections: 8, Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.9/32")}})
	for _, from := range []string{"127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"} {
		for range 2 {
			isServed(connect(t, l, from))
		}
	}
	for range 2 {
		if !isServed(connect(t, l, "127.0.0.9")) {
			t.Error("untrusted peers have the connections of a trusted proxy")
		}
	}
}

// isClosed waits for the peer to close a connection, and reports whether it did.
func isClosed(c net.Conn) bool {
	_, err := io.Copy(io.Discard, c)
	timeout, ok := errors.AsType[net.Error](err)
	return !ok || !timeout.Timeout()
}

func TestListener_IdleBeforeCredential(t *testing.T) {
	h := servertest.NewVectorServer(t)
	good := "X-Security-Token: " + h.Tokens["indexer"]
	l := &server.Listener{Handler: h.Handler()}
	l.SetIdleTimeout(200 * time.Millisecond)
	listenWith(t, l)
	known := connect(t, l, "127.0.0.1")
	if !isServed(known, "X-Forwarded-For: 192.0.2.1", good) {
		t.Fatal("a valid credential is not served")
	}
	for name, headers := range map[string][]string{"no credential": nil, "a bad one": {"X-Security-Token: " + h.Tokens["ended"]}} {
		c := connect(t, l, "127.0.0.1")
		if !isServed(c, headers...) {
			t.Errorf("%s: not served", name)
		}
		if !isClosed(c) {
			t.Errorf("%s: the connection stays open", name)
		}
	}
	if c := connect(t, l, "127.0.0.1"); !isClosed(c) {
		t.Error("a connection that says nothing stays open")
	}
	if !isServed(known, good) { // it was idle all the time
		t.Error("a connection with a credential was closed")
	}
}

func TestListener_IdleBeforeCredentialOverHTTP2(t *testing.T) {
	h := servertest.NewVectorServer(t)
	l := &server.Listener{Handler: h.Handler()}
	l.SetIdleTimeout(200 * time.Millisecond)
	listenWith(t, l)
	dials := map[string]int{}
	call := func(name, tok string, transport *http.Transport) {
		t.Helper()
		transport.Protocols = new(http.Protocols)
		transport.Protocols.SetUnencryptedHTTP2(true)
		transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			dials[name]++
			return new(net.Dialer).DialContext(ctx, network, address)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+l.Addr().String()+"/verify", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Security-Token", tok)
		res, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
	}
	with, without := &http.Transport{}, &http.Transport{}
	defer with.CloseIdleConnections()
	defer without.CloseIdleConnections()
	call("with", h.Tokens["indexer"], with)
	call("without", h.Tokens["ended"], without)
	for range 2 { // how long it is idle
		if !isClosed(connect(t, l, "127.0.0.1")) {
			t.Error("a connection that says nothing stays open")
		}
	}
	call("with", h.Tokens["indexer"], with)
	call("without", h.Tokens["ended"], without)
	if dials["with"] != 1 || dials["without"] != 2 {
		t.Errorf("%v connections were opened, want one with a credential, and another one without", dials)
	}
}

func TestListener_IdleBeforeCredentialOverGRPC(t *testing.T) {
	h := servertest.NewVectorServer(t)
	l := &server.Listener{GRPC: h.GRPC()}
	l.SetIdleTimeout(200 * time.Millisecond)
	listenWith(t, l)
	opened := map[string]*atomic.Int64{"with": {}, "without": {}}
	client := func(name string) authv3.AuthorizationClient {
		conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
				opened[name].Add(1)
				return new(net.Dialer).DialContext(ctx, "tcp", address)
			}))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return authv3.NewAuthorizationClient(conn)
	}
	with, without := client("with"), client("without")
	ask := func() {
		t.Helper()
		for c, tok := range map[authv3.AuthorizationClient]string{with: h.Tokens["indexer"], without: h.Tokens["ended"]} {
			if _, err := c.Check(t.Context(), servertest.CheckRequestWith(map[string]string{"authorization": "Bearer " + tok}), grpc.WaitForReady(true)); err != nil {
				t.Error(err)
			}
		}
	}
	ask()
	for range 2 {
		if !isClosed(connect(t, l, "127.0.0.1")) {
			t.Error("a connection that says nothing stays open")
		}
	}
	ask()
	if opened["with"].Load() != 1 || opened["without"].Load() < 2 {
		t.Errorf("%d connections with a credential were opened and %d without, want 1 and 2", opened["with"].Load(), opened["without"].Load())
	}
}
