package clients

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/server"
	"github.com/apptoken/operator/internal/testing/servertest"
	"github.com/apptoken/operator/internal/verify"
)

// testServer serves the endpoints on the product's own listener, over TLS. Programs call it without
// a proxy. They move its clock with POST /test/hour.
type testServer struct {
	*servertest.LoginServer
	caFile string
	netrc  string // a file .netrc with the password of a user who has no account

	mu       sync.Mutex
	statuses map[string][]int // of the answers, by path
}

func startServer(t *testing.T) *testServer {
	t.Helper()
	s := &testServer{LoginServer: servertest.NewUnstartedLoginServer(t), statuses: map[string][]int{}}
	s.Trusted = nil
	s.Clock.Advance(time.Since(servertest.StartTime)) // the programs expire cookies by the real clock
	for name, id := range map[string]int64{"acme": 1001, "umbrella": 2002} {
		s.Index.SetClient(verify.Client{Name: name, AccountID: id, Ceiling: s.TokenService.Ceilings[name], AllowsBasic: true})
	}
	certified := httptest.NewTLSServer(nil) // only its certificate is of use
	certified.Close()
	s.caFile, s.netrc = filepath.Join(t.TempDir(), "ca.crt"), filepath.Join(t.TempDir(), "netrc")
	for file, text := range map[string][]byte{
		s.caFile: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certified.Certificate().Raw}),
		s.netrc:  fmt.Appendf(nil, "machine 127.0.0.1 login %q password %q\n", servertest.Usernames["carol"], servertest.Passwords["carol"]),
	} {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l, _, _ := servertest.Listen(t, s.control(s.Handler()), s.AuditLog.Logger(), func(l *server.Listener) {
		l.TLS = &tls.Config{Certificates: certified.TLS.Certificates, MinVersion: tls.VersionTLS12}
	})
	s.URL = "https://" + l.Addr().String()
	return s
}

// control notes the statuses of answers, and serves the path that moves the clock.
func (s *testServer) control(endpoints http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/test/hour" {
			s.Clock.Advance(time.Hour)
			return
		}
		noted := &statusRecorder{ResponseWriter: w, status: http.StatusOK}
		endpoints.ServeHTTP(noted, r)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.statuses[r.URL.Path] = append(s.statuses[r.URL.Path], noted.status)
	})
}

// count returns how many requests for a path the server has answered.
func (s *testServer) count(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.statuses[path])
}

type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (w *statusRecorder) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// step is the line that a program prints of an exchange.
type step struct {
	Step       string
	Status     int
	RetryAfter int
}

// steps runs a program and returns what it prints.
func (s *testServer) steps(t *testing.T, program *exec.Cmd) (all []step) {
	t.Helper()
	var input strings.Builder
	for _, line := range []string{
		s.URL, s.caFile, servertest.Usernames["alice"], servertest.Passwords["alice"], servertest.Usernames["erin"], servertest.Passwords["erin"],
	} {
		fmt.Fprintln(&input, line)
	}
	program.Stdin = strings.NewReader(input.String())
	var problem bytes.Buffer
	program.Stderr = &problem
	said, err := program.Output()
	if err != nil {
		t.Errorf("%v: %s", err, &problem)
	}
	for line := range bytes.Lines(said) {
		var each step
		if err := json.Unmarshal(line, &each); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, each)
	}
	s.CheckNoSecretInAudit()
	return all
}
