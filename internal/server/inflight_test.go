package server_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/apptoken/operator/internal/server"
	"github.com/apptoken/operator/internal/testing/servertest"
)

func TestInFlight_ReservesQuarterForVerification(t *testing.T) {
	h := servertest.NewVectorServer(t)
	var refused atomic.Int64
	h.InFlight = server.NewInFlight(4, func() { refused.Add(1) })
	l, ctx := listenPatiently(t, &server.Listener{Handler: h.Handler()})
	var slow []net.Conn
	for _, from := range []string{"127.0.0.2", "127.0.0.3", "127.0.0.4"} {
		slow = append(slow, holdRequest(t, l, from))
	}
	ask := func() (status int, header http.Header) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+l.Addr().String()+"/openapi.json", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		return res.StatusCode, res.Header
	}
	status, header := ask()
	if status != http.StatusServiceUnavailable {
		t.Fatalf("beside three requests in flight: %d", status)
	}
	if header.Get("Retry-After") == "" || refused.Load() == 0 {
		t.Errorf("refused with %v, and %d are counted", header, refused.Load())
	}
	if c := connect(t, l, "127.0.0.1"); !isServed(c, "X-Security-Token: "+h.Tokens["indexer"]) {
		t.Error("slow requests take the place of verification")
	}
	for _, c := range slow {
		c.Close()
	}
	for status != http.StatusOK {
		status, _ = ask()
		if ctx.Err() != nil {
			t.Fatal("a request that has ended still counts")
		}
	}
}

func TestInFlight_OneSourceHasAQuarter(t *testing.T) {
	h := servertest.NewVectorServer(t)
	h.Trusted = nil
	h.InFlight = server.NewInFlight(8, func() {})
	l, _ := listenPatiently(t, &server.Listener{Handler: h.Handler()})
	for range 2 {
		holdRequest(t, l, "127.0.0.2")
	}
	ask := func(from, path string) int {
		c := connect(t, l, from)
		defer c.Close()
		if _, err := io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		return res.StatusCode
	}
	for _, path := range []string{"/openapi.json", "/verify"} {
		if status := ask("127.0.0.2", path); status != http.StatusServiceUnavailable {
			t.Errorf("%s: %d, though its source has a quarter of the requests in flight", path, status)
		}
	}
	if status := ask("127.0.0.3", "/openapi.json"); status != http.StatusOK {
		t.Errorf("another source: %d, want 200", status)
	}
}

func TestInFlight_LimitsGRPC(t *testing.T) {
	h := servertest.NewVectorServer(t)
	h.InFlight = server.NewInFlight(1, func() {})
	web, ctx := listenPatiently(t, &server.Listener{Handler: h.Handler()})
	gateway := listenWith(t, &server.Listener{GRPC: h.GRPC()})
	conn, err := grpc.NewClient(gateway.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := authv3.NewAuthorizationClient(conn)
	for range 3 { // requests in sequence count as one
		for {
			_, err := client.Check(t.Context(), servertest.CheckRequestWith(nil))
			if err == nil {
				break
			}
			if status.Code(err) != codes.Unavailable || ctx.Err() != nil {
				t.Fatal(err)
			}
		}
	}
	holdRequest(t, web, "127.0.0.1")
	if _, err := client.Check(t.Context(), servertest.CheckRequestWith(nil)); status.Code(err) != codes.Unavailable {
		t.Errorf("beside a request in flight: %v", err)
	}
}

// holdRequest sends a request and withholds its body. The server asks for the body (RFC 9110,
// section 10.1.1), so the request is in flight when holdRequest returns.
func holdRequest(t *testing.T, l *server.Listener, from string) net.Conn {
	t.Helper()
	c := connect(t, l, from)
	header := "POST /oauth2/introspect HTTP/1.1\r\nHost: x\r\nContent-Type: " + servertest.ContentTypeForm + "\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n"
	if _, err := io.WriteString(c, header); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 100 ") {
		t.Fatalf("the server answers %q, %v", line, err)
	}
	return c
}
