package server_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
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
)

// listen starts a listener on a free loopback port. It returns the function that stops it, and the
// channel with the result of Start.
func listen(t *testing.T, handler http.Handler, log logr.Logger) (l *server.Listener, stop context.CancelFunc, ended chan error) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	l = &server.Listener{Address: "127.0.0.1:0", Handler: handler, Log: log}
	if g, ok := handler.(*grpc.Server); ok {
		l.Handler, l.GRPC = nil, g
	}
	if l.Ready() == nil || l.NeedLeaderElection() {
		t.Error("it is ready before it listens, or waits to be elected")
	}
	l.SetTimeouts(time.Second)
	ended = make(chan error, 1)
	go func() { ended <- l.Start(ctx) }()
	t.Cleanup(stop)
	awaitReady(t, l, true, ended)
	return l, stop, ended
}

// awaitReady waits until a listener is ready, or no longer ready. It fails if the listener ends
// before.
func awaitReady(t *testing.T, l *server.Listener, ready bool, ended <-chan error) {
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

func TestListener_FinishesRequestsInProgress(t *testing.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	l, stop, ended := listen(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		<-finish
		fmt.Fprint(w, "done")
	}), logr.Discard())
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
	awaitReady(t, l, false, ended)
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

func TestPanic_FailsOneRequest(t *testing.T) {
	said := &auditRecorder{}
	l, _, _ := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/panic" {
			panic("something unforeseen")
		}
		w.WriteHeader(http.StatusNoContent)
	}), said.logger())
	for path, want := range map[string]int{"/panic": http.StatusInternalServerError, "/": http.StatusNoContent} {
		res, err := http.Get("http://" + l.Addr().String() + path) //nolint:noctx // ends with the listener
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != want || strings.Contains(string(text), "unforeseen") {
			t.Errorf("%s: %d %s", path, res.StatusCode, text)
		}
	}
	if !strings.Contains(said.text(), "unforeseen") {
		t.Errorf("the log says %s", said.text())
	}
}

// Each of these arbitrary inputs gets a response or a closed connection, and the server goes on.
func TestListener_SurvivesArbitraryInput(t *testing.T) {
	h := newFixture(t)
	l, _, _ := listen(t, h.Handler(), h.audit.logger())
	secret := h.Tokens["indexer"]
	for name, x := range map[string]struct{ request, status string }{
		"HTTP/1.0":                  {"GET /verify HTTP/1.0\r\nAuthorization: Bearer " + secret + "\r\n\r\n", "200"},
		"no host":                   {"GET /verify HTTP/1.1\r\nAuthorization: Bearer " + secret + "\r\n\r\n", "400"},
		"no protocol":               {"GET /verify\r\n\r\n", "400"},
		"no HTTP at all":            {"\x16\x03\x01\x00\xa5\x01\x00\r\n\r\n", "400"},
		"headers without an end":    {"GET /verify HTTP/1.1\r\nHost: x\r\nX-Security-Token: " + strings.Repeat("a", 256<<10) + "\r\n\r\n", "431"},
		"a header that is no UTF-8": {"GET /verify HTTP/1.1\r\nHost: x\r\nX-Security-Token: \xff\xfe\r\nConnection: close\r\n\r\n", "401"},
		"a header with NUL":         {"GET /verify HTTP/1.1\r\nHost: x\r\nX-Security-Token: a\x00b\r\n\r\n", "400"},
		"the same header twice":     {"GET /verify HTTP/1.1\r\nHost: x\r\nX-Security-Token: " + secret + "\r\nX-Security-Token: " + secret + "\r\nConnection: close\r\n\r\n", "401"},
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
	h.noLeak("the log", h.audit.text())
}

// An unfinished request is dropped, and the shutdown does not wait for it.
func TestListener_DropsUnfinishedRequest(t *testing.T) { // [row 16]
	h := newFixture(t)
	l, stop, ended := listen(t, h.GRPCWithTimeout(200*time.Millisecond), h.audit.logger())
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
