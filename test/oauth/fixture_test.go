package oauth_test

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/apptoken/operator/internal/grant"
	"github.com/apptoken/operator/internal/management"
	"github.com/apptoken/operator/internal/testing/servertest"
	"github.com/apptoken/operator/internal/verify"
)

// issuerPaths are the paths of the issuers that each library is run against.
var issuerPaths = map[string]string{"an issuer": "", "an issuer with a path": "/apps/tokens"}

// server is a test server over TLS, with an issuer.
type server struct {
	*servertest.LoginServer
	ca     string // file with the certificate
	issuer string
	secret string // application token of acme, which introspects
}

func newServer(t *testing.T, path string) *server {
	t.Helper()
	h := &server{LoginServer: servertest.NewUnstartedLoginServer(t), ca: filepath.Join(t.TempDir(), "ca.pem")}
	ceiling := grant.NewCeiling(append([]grant.Role{{Name: "server", Permissions: []string{"sec.token.introspect"}}}, servertest.Roles["acme"]...))
	h.TokenService.Ceilings["acme"] = ceiling
	h.Index.SetClient(verify.Client{Name: "acme", AccountID: 1001, Ceiling: ceiling})
	h.secret = h.CreateToken(management.Scope{Client: "acme"}, management.TokenSpec{Name: "server", Roles: []string{"server", "reader"}})
	s := httptest.NewUnstartedServer(nil)
	h.issuer = "https://" + s.Listener.Addr().String() + path
	h.Issuer = h.issuer
	s.Config.Handler = h.Handler()
	s.StartTLS()
	t.Cleanup(s.Close)
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(h.ca, certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	return h
}

// input returns what the scripts read.
func (h *server) input() map[string]string {
	return map[string]string{
		"issuer": h.issuer, "client": "acme", "secret": h.secret, "username": servertest.Usernames["alice"], "password": servertest.Passwords["alice"],
	}
}

// run runs a script of a library, and returns its report.
func (h *server) run(program, script string) map[string]any {
	h.T.Helper()
	input, err := json.Marshal(h.input())
	if err != nil {
		h.T.Fatal(err)
	}
	run := exec.CommandContext(h.T.Context(), program, script)
	run.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+h.ca, "REQUESTS_CA_BUNDLE="+h.ca, "PYTHONDONTWRITEBYTECODE=1")
	run.Stdin = bytes.NewReader(input)
	var problem bytes.Buffer
	run.Stderr = &problem
	text, err := run.Output()
	if err != nil {
		h.T.Fatalf("%v: %s", err, &problem)
	}
	var report map[string]any
	if err := json.Unmarshal(text, &report); err != nil {
		h.T.Fatalf("%v in %s", err, text)
	}
	return report
}

// checkReport compares the report of a library with what each library must see. Only some libraries
// refresh by themselves.
func (h *server) checkReport(got map[string]any) {
	h.T.Helper()
	const whole, service = "search.* sec.application-token.* sec.continuous.rest", "search.query sec.token.introspect"
	granted := func(kind, scope string) map[string]any {
		return map[string]any{"type": "bearer", "kind": kind, "scope": scope, "refreshable": kind == "atl_"}
	}
	active := func(scope string) map[string]any {
		return map[string]any{"active": true, "scope": scope, "client": "acme"}
	}
	want := map[string]any{
		"token_endpoint": h.issuer + "/oauth2/token",
		"password":       granted("atl_", "search.query search.update"),
		"whole":          granted("atl_", whole),
		"wrong_password": "invalid_grant",
		"wrong_scope":    "invalid_scope",
		"narrower":       granted("atl_", "search.query"),
		"refreshed":      granted("atl_", "search.query search.update"),
		"client_basic":   granted("atc_", "search.query"),
		"client_post":    granted("atc_", "search.query"),
		"client_whole":   granted("atc_", service),
		"wrong_secret":   "invalid_client",
		"introspected":   active("search.query search.update"), "introspected_access": active(service),
		"revoked": map[string]any{"active": false}, "revoked_access": map[string]any{"active": false},
		"replayed":       "invalid_grant",
		"auto_refreshed": []any{200.0, 1.0},
	}
	for step, w := range want {
		g, done := got[step]
		if step == "auto_refreshed" && !done {
			continue
		}
		if m, is := g.(map[string]any); is {
			for key, v := range m {
				if v == nil {
					delete(m, key)
				}
			}
		}
		if !reflect.DeepEqual(g, w) {
			h.T.Errorf("%s: %v, want %v", step, g, w)
		}
	}
	h.CheckNoSecretInAudit()
}
