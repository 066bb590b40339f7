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

	"github.com/apptoken/operator/test/cluster"
	"github.com/apptoken/operator/test/programs"
)

// sessions holds the statuses that a program gets when it opens a session, and presents its token
// with and without its cookies.
type sessions struct {
	Opened, With, Without, Logout, After int
	Session                              string
	Token                                string `json:"access_token"`
}

// A session token is valid with the session id that came with it, in any program that keeps
// cookies.
func TestProgramsThatKeepCookiesKeepTheirSession(t *testing.T) {
	programs.Need(t, "curl")
	op, url, ca := overTLS(t)
	p := tenantOf(t, op).person("alice")
	p.known()
	for program, opens := range map[string]func(t *testing.T, p *person, url, ca string) sessions{"curl": byCurl, "requests of Python": byRequests} {
		t.Run(program, func(t *testing.T) {
			got := opens(t, p, url, ca)
			plaintexts.mark(got.Session)
			plaintexts.mark(got.Token)
			want := sessions{
				Opened: http.StatusOK, With: http.StatusOK, Without: http.StatusUnauthorized, Logout: http.StatusOK, After: http.StatusUnauthorized,
				Session: got.Session, Token: got.Token,
			}
			if got != want || got.Session == "" {
				t.Errorf("%+v", got)
			}
		})
	}
}

// byCurl opens a session with curl, which keeps cookies in a file.
func byCurl(t *testing.T, p *person, url, ca string) (s sessions) {
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
	s.Opened, body = curl("Authorization: "+p.basic().Get("Authorization"), "/security/rest/token/access/session/60", "-c", jar)
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

// byRequests opens a session with Requests, the Python library.
func byRequests(t *testing.T, p *person, url, ca string) (s sessions) {
	programs.NeedPython(t, "requests")
	p.script("session.py", map[string]any{"url": url, "username": p.username, "password": p.password}, ca, &s)
	return s
}

// script runs a program of testdata, and parses its output.
func (p *person) script(name string, asked any, ca string, into any) {
	p.Helper()
	text, err := json.Marshal(asked)
	p.must(err)
	cmd := exec.CommandContext(p.Context(), programs.Python, filepath.Join(cluster.Root(), "test", "e2e", "testdata", name))
	cmd.Env = append(os.Environ(), "REQUESTS_CA_BUNDLE="+ca)
	cmd.Stdin = bytes.NewReader(text)
	var problem bytes.Buffer
	cmd.Stderr = &problem
	said, err := cmd.Output()
	noteSecrets(said)
	if err != nil {
		p.Fatalf("%v: %s", err, &problem)
	}
	p.must(json.Unmarshal(said, into))
}
