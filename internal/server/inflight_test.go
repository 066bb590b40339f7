package server_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
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
	begun := "POST /oauth2/introspect HTTP/1.1\r\nHost: x\r\nContent-Type: " + servertest.ContentTypeForm + "\r\nContent-Length: 100\r\n\r\ntoken="
	var slow []net.Conn
	// Each request waits for the rest of its form.
	for _, from := range []string{"127.0.0.2", "127.0.0.3", "127.0.0.4"} {
		c := connect(t, l, from)
		if _, err := io.WriteString(c, begun); err != nil {
			t.Fatal(err)
		}
		slow = append(slow, c)
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
	// The server is full once all three have arrived.
	for ; status != http.StatusServiceUnavailable; status, header = ask() {
		if ctx.Err() != nil {
			t.Fatal("requests in flight have no bound")
		}
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
	l, ctx := listenPatiently(t, &server.Listener{Handler: h.Handler()})
	for range 2 { // each waits for the rest of its form
		if _, err := io.WriteString(connect(t, l, "127.0.0.2"), "POST /oauth2/introspect HTTP/1.1\r\nHost: x\r\nContent-Type: "+servertest.ContentTypeForm+"\r\nContent-Length: 100\r\n\r\ntoken="); err != nil {
			t.Fatal(err)
		}
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
		for ask("127.0.0.2", path) != http.StatusServiceUnavailable { // until both have arrived
			if ctx.Err() != nil {
				t.Fatalf("%s: one source has more than a quarter of the requests in flight", path)
			}
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
	slow := connect(t, web, "127.0.0.1")
	if _, err := io.WriteString(slow, "POST /oauth2/introspect HTTP/1.1\r\nHost: x\r\nContent-Type: "+servertest.ContentTypeForm+"\r\nContent-Length: 100\r\n\r\ntoken="); err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := client.Check(t.Context(), servertest.CheckRequestWith(nil)); status.Code(err) == codes.Unavailable {
			break
		}
		if ctx.Err() != nil {
			t.Fatal("questions over gRPC have no bound")
		}
	}
}
