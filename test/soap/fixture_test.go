package soap

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/apptoken/operator/internal/testing/servertest"
)

// client is a program that calls the services of a server for alice.
type client struct {
	*servertest.LoginServer
	t  *testing.T
	ca string // file with the certificate of the server
}

// newClient starts a server with TLS, which has no proxy in front.
func newClient(t *testing.T) client {
	t.Helper()
	h := servertest.NewUnstartedLoginServer(t)
	h.Trusted = nil
	c := client{LoginServer: h, t: t, ca: filepath.Join(t.TempDir(), "ca.pem")}
	h.Serve(func(handler http.Handler) *httptest.Server {
		s := httptest.NewTLSServer(handler)
		text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
		if err := os.WriteFile(c.ca, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return s
	})
	return c
}

// result is the output of a program: the tokens, faults and statuses that it got, by what it asked.
type result struct {
	Tokens map[string]struct {
		Token, Session, Username string
	}
	Faults   map[string]string
	Statuses map[string]any
}

// run runs a program of testdata, which reads input, and returns what it writes.
func (c client) run(input []byte, program string, args ...string) result {
	c.t.Helper()
	cmd := exec.CommandContext(c.t.Context(), program, args...)
	cmd.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+c.ca, "REQUESTS_CA_BUNDLE="+c.ca)
	cmd.Stdin = bytes.NewReader(input)
	var problem bytes.Buffer
	cmd.Stderr = &problem
	written, err := cmd.Output()
	if err != nil {
		c.t.Fatalf("%v: %s", err, &problem)
	}
	var got result
	if err := json.Unmarshal(written, &got); err != nil {
		c.t.Fatalf("%v in %s", err, written)
	}
	for _, tok := range got.Tokens {
		c.Secrets = append(c.Secrets, tok.Token)
	}
	return got
}

// input returns the input of the programs that read JSON.
func (c client) input() []byte {
	c.t.Helper()
	text, err := json.Marshal(map[string]string{"url": c.URL, "username": servertest.Usernames["alice"], "password": servertest.Passwords["alice"]})
	if err != nil {
		c.t.Fatal(err)
	}
	return text
}
