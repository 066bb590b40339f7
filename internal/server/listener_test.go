package server_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/go-logr/logr"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/apptoken/operator/internal/server"
	"github.com/apptoken/operator/internal/testing/servertest"
)

// withShortTimeouts ends the wait for slow peers soon.
func withShortTimeouts(l *server.Listener) { l.SetTimeouts(time.Second) }

func TestListener_FinishesRequestsInProgress(t *testing.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	l, stop, ended := servertest.Listen(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		<-finish
		fmt.Fprint(w, "done")
	}), logr.Discard(), withShortTimeouts)
	type result struct {
		body string
		err  error
	}
	results := make(chan result, 1)
	go func() {
		res, err := http.Get("http://" + l.Addr().String()) //nolint:noctx // ends with the listener
		if err != nil {
			results <- result{"", err}
			return
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		results <- result{string(text), err}
	}()
	<-begun
	stop()
	servertest.AwaitReady(t, l, false, ended)
	close(finish)
	if got := <-results; got.err != nil || got.body != "done" {
		t.Errorf("what was begun ended with %q, %v", got.body, got.err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", l.Addr().String()); err == nil {
		conn.Close()
		t.Error("it still listens")
	}
}

// Each of these arbitrary inputs gets a response or a closed connection, and the server goes on.
func TestListener_SurvivesArbitraryInput(t *testing.T) {
	h := servertest.NewVectorServer(t)
	l, _, _ := servertest.Listen(t, h.Handler(), h.AuditLog.Logger(), withShortTimeouts)
	secret := h.Tokens["indexer"]
	for name, x := range map[string]struct{ request, status string }{
		"HTTP/1.0":                  {"GET /verify HTTP/1.0\r\nAuthorization: Bearer " + secret + "\r\n\r\n", "200"},
		"no host":                   {"GET /verify HTTP/1.1\r\nAuthorization: Bearer " + secret + "\r\n\r\n", "400"},
		"no protocol":               {"GET /verify\r\n\r\n", "400"},
		"no HTTP at all":            {"\x16\x03\x01\x00\xa5\x01\x00\r\n\r\n", "400"},
		"headers without an end":    {"GET /verify HTTP/1.1\r\nHost: x\r\nX-Security-Token: " + strings.Repeat("a", 256<<10) + "\r\n\r\n", "431"},
		"a header that is no UTF-8": {"GET /verify HTTP/1.1\r\nHost: x\r\nX-Security-Token: \xff\xfe\r\nConnection: close\r\n\r\n", "401"},
		"a header with NUL":         {"GET /verify HTTP/1.1\r\nHost: x\r\nX-Security-Token: a\x00b\r\n\r\n", "400"},
		"the same header twice":     {"GET /verify HTTP/1.1\r\nHost: x\r\nX-Security-Token: " + secret + "\r\nX-Security-Token: " + secret + "\r\nConnection: close\r\n\r\n", "200"},
		"a header with two values":  {"GET /verify HTTP/1.1\r\nHost: x\r\nX-Security-Token: " + secret + "\r\nX-Security-Token: " + h.Tokens["both"] + "\r\nConnection: close\r\n\r\n", "401"},
		"a query that is none":      {"GET /verify?permission=%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "400"},
		"another path":              {"GET /elsewhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "404"},
		"an unread body":            {"POST /verify HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: close\r\nX-Security-Token: " + secret + "\r\n\r\nhello", "200"},
		"two lengths":               {"POST /verify HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "400"},
		"a form with a NUL":         {"POST /oauth2/introspect HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 9\r\nConnection: close\r\n\r\ntoken=a\x00b", "401"},
	} {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, x.request); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		line, err := bufio.NewReader(conn).ReadString('\n')
		if fields := strings.Fields(line); len(fields) < 2 || fields[1] != x.status {
			t.Errorf("%s: %q, %v; want %s", name, line, err, x.status)
		}
		conn.Close()
	}
	h.CheckNoLeak("the log", h.AuditLog.Text())
}

// An unfinished request is dropped, and the shutdown does not wait for it.
func TestListener_DropsUnfinishedRequest(t *testing.T) { // [row 16]
	h := servertest.NewVectorServer(t)
	l, stop, ended := servertest.Listen(t, h.GRPCWithTimeout(200*time.Millisecond), h.AuditLog.Logger(), withShortTimeouts)
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ask := func(method string) error {
		stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true}, method)
		if err != nil {
			return err
		}
		return stream.RecvMsg(&authv3.CheckResponse{})
	}
	if err := ask(authv3.Authorization_Check_FullMethodName); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("it is answered: %v", err)
	}
	secret := h.Tokens["indexer"]
	if err := ask("/" + secret + "/Check"); status.Code(err) != codes.Unimplemented || strings.Contains(err.Error(), secret) {
		t.Error("a method that there is not is answered otherwise, or by its name")
	}
	waiting := make(chan error, 1)
	go func() { waiting <- ask(authv3.Authorization_Check_FullMethodName) }()
	stop()
	if err := <-ended; err != nil {
		t.Errorf("the end: %v", err)
	}
	if err := <-waiting; err == nil {
		t.Error("it is answered at the end")
	}
}

func TestListener_LeavesNoGoroutines(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Run("while it lasts", func(t *testing.T) {
		s := servertest.NewListenerServer(t, withShortTimeouts)
		for range 20 {
			s.Send(servertest.GetRequest("/verify", "X-Security-Token: "+s.Tokens["unlisted"]), false)
			s.Send(servertest.PostRequest("/oauth2/introspect", servertest.ContentTypeForm, "token=")[:40], true)
			if _, err := s.DialExtAuthz().Check(t.Context(), servertest.CheckRequestWith(nil)); err != nil {
				t.Error(err)
			}
		}
		s.CheckNoLeak("the log", s.AuditLog.Text())
	})
	http.DefaultClient.CloseIdleConnections()
	tick, late := time.NewTicker(time.Millisecond), time.NewTimer(5*time.Second)
	defer tick.Stop()
	defer late.Stop()
	for runtime.NumGoroutine() > before {
		select {
		case <-tick.C:
		case <-late.C:
			stacks := make([]byte, 64<<10)
			t.Fatalf("%d go on, and there were %d: %s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		}
	}
}

func TestListener_SpeaksHTTP2WithPriorKnowledge(t *testing.T) {
	s := servertest.NewListenerServer(t, withShortTimeouts)
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	for target, want := range map[string]int{
		"http://" + s.Address + "/verify": 200, "http://" + s.Address + "/oauth2/introspect": 405, "http://" + s.ReviewAddress + "/tokenreview": 405,
	} {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
		req.Header.Set("Authorization", "Bearer "+s.Tokens["indexer"])
		res, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.ProtoMajor != 2 || res.StatusCode != want || res.Header.Get("Server") != "" {
			t.Errorf("%s: %s %d %v", target, res.Proto, res.StatusCode, res.Header)
		}
		s.CheckNoLeak("the answer", fmt.Sprint(res.Header, string(text)))
	}
}
