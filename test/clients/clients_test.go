package clients

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/apptoken/operator/test/programs"
)

// wantSteps lists the exchanges of every program with their statuses, without those that move the
// clock.
var wantSteps = []step{
	{Step: "funnelback: log in", Status: 200},
	{Step: "funnelback: call with the token", Status: 200},
	{Step: "funnelback: log in, to be remembered by cookie", Status: 200},
	{Step: "funnelback: call with the cookie alone", Status: 200},
	{Step: "funnelback: create an application token", Status: 200},
	{Step: "funnelback: create it again", Status: 409},
	{Step: "funnelback: list application tokens", Status: 200},
	{Step: "funnelback: call with the application token", Status: 200},
	{Step: "funnelback: delete the application token", Status: 200},
	{Step: "funnelback: call with the deleted token", Status: 401},
	{Step: "squiz dxp: create a token of a client", Status: 200},
	{Step: "squiz dxp: call with the token", Status: 200},
	{Step: "squiz dxp: delete the token", Status: 200},
	{Step: "teletracker: log in with a form", Status: 200},
	{Step: "teletracker: log in with JSON", Status: 200},
	{Step: "teletracker: log in with multipart", Status: 200},
	{Step: "teletracker: call with the token", Status: 200},
	{Step: "teletracker: call with the expired token", Status: 401},
	{Step: "teletracker: refresh", Status: 200},
	{Step: "teletracker: call with the new token", Status: 200},
	{Step: "teletracker: call with Basic", Status: 200},
	{Step: "teletracker: Integrator at an account", Status: 200},
	{Step: "teletracker: Integrator without an account", Status: 400},
	{Step: "spectrum: get a session token", Status: 200},
	{Step: "spectrum: call with the cookie", Status: 200},
	{Step: "spectrum: call without the cookie", Status: 401},
	{Step: "spectrum: log out", Status: 200},
	{Step: "spectrum: call after the logout", Status: 401},
	{Step: "spectrum: get an open token", Status: 200},
	{Step: "spectrum: call with the open token", Status: 200},
	{Step: "spectrum: get an open token, with letters beyond ASCII", Status: 200},
	{Step: wrongPassword, Status: 401},
	{Step: tooManyAttempts, Status: 429},
	{Step: "failures: log in after the wait", Status: 200},
}

// netrcSteps lists the further exchanges of the programs that read the file .netrc.
var netrcSteps = []step{
	{Step: "netrc: log in", Status: 200},
	{Step: "netrc: call with a token", Status: 200},
	{Step: "netrc: call the management API with a token", Status: 200},
}

// The steps that do not end alike in all programs.
const (
	wrongPassword     = "failures: a wrong password"
	wrongPasswordPath = "/security/rest/token/access/5"
	tooManyAttempts   = "failures: too many attempts"
)

// client is a program that the tests run.
type client struct {
	needs func(t *testing.T)
	start func(t *testing.T, s *testServer) *exec.Cmd
	// maxAttempts bounds how often the program sends one wrong password. Java asks an Authenticator
	// again after each failure.
	maxAttempts int
	readsNetrc  bool
	endsLimited bool // whether the limit of attempts ends these attempts
}

// clients are the programs, by the name of their HTTP client.
var clients = map[string]client{
	"curl": {
		needs: func(t *testing.T) { programs.Require(t, "bash", "curl", "jq") },
		start: func(t *testing.T, s *testServer) *exec.Cmd {
			cmd := exec.CommandContext(t.Context(), "bash", "testdata/client.sh")
			cmd.Env = append(os.Environ(), "NETRC="+s.netrc)
			return cmd
		},
		maxAttempts: 1, readsNetrc: true,
	},
	"requests of Python": {
		needs: func(t *testing.T) { programs.RequirePython(t, "requests") },
		start: func(t *testing.T, s *testServer) *exec.Cmd {
			cmd := exec.CommandContext(t.Context(), programs.Python, "testdata/client.py")
			cmd.Env = append(os.Environ(), "NETRC="+s.netrc)
			return cmd
		},
		maxAttempts: 1, readsNetrc: true,
	},
	"fetch of Node.js": {
		needs: func(t *testing.T) { programs.Node(t) },
		start: func(t *testing.T, s *testServer) *exec.Cmd {
			cmd := exec.CommandContext(t.Context(), programs.Node(t), "testdata/client.mjs")
			cmd.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+s.caFile)
			return cmd
		},
		maxAttempts: 1,
	},
	"HttpClient of Java":        {needs: programs.RequireJava, start: javaProgram("HttpClientProgram.java"), maxAttempts: 5},
	"HttpURLConnection of Java": {needs: programs.RequireJava, start: javaProgram("URLConnectionProgram.java"), maxAttempts: 21, endsLimited: true},
}

// javaProgram returns how a program of one file is started, with the server's CA in a trust store.
func javaProgram(file string) func(*testing.T, *testServer) *exec.Cmd {
	return func(t *testing.T, s *testServer) *exec.Cmd {
		t.Helper()
		store := filepath.Join(t.TempDir(), "truststore.p12")
		made, err := exec.CommandContext(t.Context(), "keytool", "-importcert", "-noprompt", "-alias", "ca", "-file", s.caFile,
			"-keystore", store, "-storetype", "PKCS12", "-storepass", "changeit").CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, made)
		}
		return exec.CommandContext(t.Context(), "java", "-Djavax.net.ssl.trustStore="+store, "-Djavax.net.ssl.trustStorePassword=changeit",
			"-XX:TieredStopAtLevel=1", filepath.Join("testdata", file))
	}
}

func TestClients_LogInToEachSystem(t *testing.T) {
	for name, c := range clients {
		t.Run(name, func(t *testing.T) {
			c.needs(t)
			s := startServer(t)
			got := lastOfEachStep(s.steps(t, c.start(t, s)))
			want := slices.Clone(wantSteps)
			if c.readsNetrc {
				want = append(want, netrcSteps...)
			}
			for i := range want {
				if want[i].Step == wrongPassword && c.endsLimited {
					want[i].Status = http.StatusTooManyRequests
				}
			}
			for i := range got {
				if after := got[i].RetryAfter; (after > 0) != (got[i].Status == http.StatusTooManyRequests) || after > 60 {
					t.Errorf("%+v", got[i])
				}
			}
			for i := range want {
				if i >= len(got) || got[i].Step != want[i].Step {
					t.Fatalf("after %+v there is no %+v", got[:min(i, len(got))], want[i])
				}
				if got[i].Status != want[i].Status {
					t.Errorf("%s: status %d in place of %d", want[i].Step, got[i].Status, want[i].Status)
				}
			}
			if len(got) > len(want) {
				t.Errorf("further steps: %+v", got[len(want):])
			}
			if n := s.count(wrongPasswordPath); n < 1 || n > c.maxAttempts {
				t.Errorf("one wrong password was sent %d times", n)
			}
		})
	}
}

// lastOfEachStep returns the last of successive steps with one name, without those that move the
// clock.
func lastOfEachStep(all []step) (last []step) {
	for i, each := range all {
		if each.Step != "an hour passes" && (i+1 == len(all) || all[i+1].Step != each.Step) {
			last = append(last, each)
		}
	}
	return last
}
