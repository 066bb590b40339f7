package e2e_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/testing/controlplane"
	"github.com/apptoken/operator/test/programs"
)

// sessionStatuses holds the statuses that a program gets when it opens a session, and presents its
// token with and without its cookies.
type sessionStatuses struct {
	Opened, With, Without, Logout, After int
	Session                              string
	Token                                string `json:"access_token"`
}

// A session token is valid with the session id that came with it, in any program that keeps
// cookies.
func TestSession_CookieJarKeepsSession(t *testing.T) {
	programs.Require(t, "curl")
	op, url, ca := startWithTLS(t)
	p := newTenant(t, op).newUser("alice")
	p.waitKnown()
	for program, opens := range map[string]func(t *testing.T, p *loginUser, url, ca string) sessionStatuses{"curl": sessionByCurl, "requests of Python": sessionByRequests} {
		t.Run(program, func(t *testing.T) {
			got := opens(t, p, url, ca)
			plaintexts.addText(got.Session)
			plaintexts.addText(got.Token)
			want := sessionStatuses{
				Opened: http.StatusOK, With: http.StatusOK, Without: http.StatusUnauthorized, Logout: http.StatusOK, After: http.StatusUnauthorized,
				Session: got.Session, Token: got.Token,
			}
			if got != want || got.Session == "" {
				t.Errorf("%+v", got)
			}
		})
	}
}

// sessionByCurl opens a session with curl, which keeps cookies in a file.
func sessionByCurl(t *testing.T, p *loginUser, url, ca string) (s sessionStatuses) {
	dir := t.TempDir()
	jar := filepath.Join(dir, "jar")
	// curl sends a request, and returns the status and the body. It passes secrets on stdin, not on
	// the command line.
	curl := func(headers, path string, args ...string) (int, string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "curl", append(args, "-sS", "--cacert", ca, "-H", "@-", "-w", "\n%{http_code}", url+path)...)
		cmd.Stdin = strings.NewReader(headers)
		var problem bytes.Buffer
		cmd.Stderr = &problem
		said, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v: %s", err, &problem)
		}
		body, code, _ := strings.Cut(strings.TrimSpace(string(said)), "\n")
		if code == "" {
			body, code = "", body
		}
		status, err := strconv.Atoi(strings.TrimSpace(code))
		if err != nil {
			t.Fatalf("%s: %v", said, err)
		}
		return status, body
	}
	var body string
	s.Opened, body = curl("Authorization: "+p.basicAuth().Get("Authorization"), "/security/rest/token/access/session/60", "-c", jar)
	p.must(json.Unmarshal([]byte(body), &s))
	token := "Authorization: Bearer " + s.Token
	s.With, _ = curl(token, "/verify", "-b", jar)
	s.Without, _ = curl(token, "/verify")
	s.Logout, _ = curl(token, "/security/rest/token/logout", "-b", jar, "-c", jar)
	s.After, _ = curl(token, "/verify", "-H", "Cookie: SESSION="+s.Session)
	if kept, err := os.ReadFile(jar); err != nil || strings.Contains(string(kept), s.Session) {
		t.Errorf("curl keeps the session that was logged out of: %v", err)
	}
	return s
}

// sessionByRequests opens a session with Requests, the Python library.
func sessionByRequests(t *testing.T, p *loginUser, url, ca string) (s sessionStatuses) {
	programs.RequirePython(t, "requests")
	p.runScript("session.py", map[string]any{"url": url, "username": p.username, "password": p.password}, ca, &s)
	return s
}

// runScript runs a program of testdata, and parses its output.
func (p *loginUser) runScript(name string, asked any, ca string, into any) {
	p.Helper()
	text, err := json.Marshal(asked)
	p.must(err)
	cmd := exec.CommandContext(p.Context(), programs.Python, filepath.Join(controlplane.Root(), "test", "e2e", "testdata", name))
	cmd.Env = append(os.Environ(), "REQUESTS_CA_BUNDLE="+ca)
	cmd.Stdin = bytes.NewReader(text)
	var problem bytes.Buffer
	cmd.Stderr = &problem
	said, err := cmd.Output()
	markSecrets(said)
	if err != nil {
		p.Fatalf("%v: %s", err, &problem)
	}
	p.must(json.Unmarshal(said, into))
}
