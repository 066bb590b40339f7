package tokenapi_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	auditlog "github.com/apptoken/operator/internal/audit"
	"github.com/apptoken/operator/internal/grant"
	"github.com/apptoken/operator/internal/management"
	"github.com/apptoken/operator/internal/testing/servertest"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
)

// Each request that makes, changes or shows a token passes on the authority of its caller.
func TestManage_CallerNeverGivesMoreThanItHolds(t *testing.T) {
	const over = `{"roles":["client~primary"]}`
	h := servertest.NewLoginServer(t)
	h.CreateToken(management.Scope{Client: "acme"}, management.TokenSpec{Name: "strong", Roles: []string{"client~primary"}})
	h.CreateToken(management.Scope{Client: "acme"}, management.TokenSpec{Name: "weak"})
	developer := h.AppToken("developer")
	// "*" is the only wildcard that covers the permission; no role of acme has it
	ceiling := grant.NewCeiling(append(slices.Clone(servertest.Roles["acme"]), grant.Role{Name: "escalator", Permissions: []string{management.PermissionEscalate}}))
	h.Index.SetClient(verify.Client{Name: "acme", AccountID: 1001, Ceiling: ceiling})
	h.TokenService.Ceilings["acme"] = ceiling
	escalator := h.AppToken("developer", "escalator")
	before := h.Store.WriteCounts()
	for name, x := range map[string]struct {
		call string
		body servertest.RequestOption
	}{
		"made":    {"PUT /new", servertest.JSONBody(over)},
		"changed": {"PATCH /weak", servertest.JSONBody(over)},
		"cloned":  {"POST /strong/clone", servertest.JSONBody(`{"name":"copy"}`)},
		"rotated": {"POST /strong/rotate", servertest.Header("A", "b")},
	} {
		method, path, _ := strings.Cut(x.call, " ")
		got := h.Call(method, servertest.PathAcmeTokens+path, servertest.Bearer(developer), x.body)
		if got.Status != 403 || h.Members(got)["error"] != "insufficient_scope" || h.Members(got)["field"] != "roles" || !strings.Contains(got.Header.Get("Www-Authenticate"), "insufficient_scope") {
			t.Errorf("%s by a developer: %d %s", name, got.Status, got.Body)
		}
	}
	if h.Store.WriteCounts() != before {
		t.Error("something was written")
	}
	if lines := h.AuditLog.Events(t, auditlog.CredentialRefused); len(lines) != 1 || lines[0]["token"] == nil || lines[0]["endpoint"] != "manage" || lines[0]["verdict"] != "PermissionMissing" {
		t.Errorf("the audit log has %v, want a line that names the developer", lines)
	}
	for _, call := range []string{"PUT /new", "PATCH /weak", "POST /strong/clone", "POST /strong/rotate"} {
		method, path, _ := strings.Cut(call, " ")
		body := servertest.JSONBody(over)
		switch {
		case strings.HasSuffix(path, "clone"):
			body = servertest.JSONBody(`{"name":"copy"}`)
		case strings.HasSuffix(path, "rotate"):
			body = servertest.Header("A", "b")
		}
		if got := h.Call(method, servertest.PathAcmeTokens+path, servertest.Bearer(escalator), body); got.Status != 200 {
			t.Errorf("%s by one who escalates: %d %s", call, got.Status, got.Body)
		}
	}
	h.CheckNoSecretInAudit()
}

// A login ends within the hour, and the tokens that it makes live on. An application token makes
// none that outlives it, or that is accepted from other addresses.
func TestManage_ApplicationTokenGivesNoLongerLifeThanItsOwn(t *testing.T) {
	h := servertest.NewLoginServer(t)
	caller := h.CreateToken(management.Scope{Client: "acme"}, management.TokenSpec{
		Name: "caller", Roles: []string{"developer"}, Lifetime: 24 * time.Hour, SourceRanges: []string{"192.0.2.0/24"},
	})
	for body, field := range map[string]any{
		`{"sourceRanges":["192.0.2.0/24"]}`:                                    "lifetime",
		`{"sourceRanges":["192.0.2.0/24"],"lifetime":"24h1m"}`:                 "lifetime",
		`{"lifetime":"24h"}`:                                                   "sourceRanges",
		`{"sourceRanges":["192.0.2.0/23"],"lifetime":"24h"}`:                   "sourceRanges",
		`{"sourceRanges":["192.0.2.0/25","198.51.100.1/32"],"lifetime":"24h"}`: "sourceRanges",
		`{"sourceRanges":["192.0.2.0/25"],"lifetime":"24h"}`:                   nil,
	} {
		got := h.Call(http.MethodPut, servertest.PathAcmeTokens+"/new", servertest.Bearer(caller), servertest.JSONBody(body))
		if field != nil && (got.Status != 403 || h.Members(got)["field"] != field) || field == nil && got.Status != 200 {
			t.Errorf("%s: %d %s", body, got.Status, got.Body)
		}
	}
	if got := h.Call(http.MethodPut, servertest.PathAcmeTokens+"/lasting", servertest.Bearer(h.Login("alice"))); got.Status != 200 {
		t.Errorf("by a login: %d %s", got.Status, got.Body)
	}
	session, id := h.SpectrumSession("60")
	if got := h.Call(http.MethodPut, servertest.PathAcmeTokens+"/wide", servertest.Bearer(session), servertest.Cookies("SESSION="+id)); got.Status != 403 || h.Members(got)["field"] != "sourceRanges" {
		t.Errorf("by a session that is bound to an address: %d %s", got.Status, got.Body)
	}
	h.CheckNoSecretInAudit()
}

// A caller without the permission is refused before any lookup, which would reveal whether a token
// exists.
func TestManage_PermissionBeforeLookup(t *testing.T) {
	h := servertest.NewLoginServer(t)
	h.AppToken("client~primary")
	weak := h.AppToken("reader")
	h.Endpoints.Management = passThroughManagement{h.TokenService.Subject, t}
	for _, call := range []string{
		"GET ", "GET /none", "PUT /new", "PATCH /appclient~primary", "PATCH /none", "DELETE /appclient~primary", "DELETE /none",
		"POST /appclient~primary/clone", "POST /none/clone", "POST /appclient~primary/rotate", "POST /none/rotate",
	} {
		method, path, _ := strings.Cut(call, " ")
		if got := h.Call(method, servertest.PathAcmeTokens+path, servertest.Bearer(weak)); got.Status != 403 {
			t.Errorf("%s: %d %s", call, got.Status, got.Body)
		}
	}
	for _, call := range []string{"PUT /new", "PATCH /none", "POST /none/clone", "POST /none/rotate"} {
		method, path, _ := strings.Cut(call, " ")
		if got := h.Call(method, servertest.PathUserTokens+path, servertest.Bearer(h.Login("dave"))); got.Status != 403 {
			t.Errorf("a user's, %s: %d %s", call, got.Status, got.Body)
		}
	}
	h.CheckNoSecretInAudit()
}

// passThroughManagement is a management service that fails the test if it is asked for a token.
// Subject reads nothing, and is passed on.
type passThroughManagement struct {
	subject func(management.Scope, string) string
	t       testing.TB
}

var _ management.API = passThroughManagement{}

func (u passThroughManagement) asked(method string) error {
	u.t.Errorf("%s was called before the permission was checked", method)
	return management.ErrUnavailable
}

func (u passThroughManagement) Subject(s management.Scope, name string) string {
	return u.subject(s, name)
}

func (u passThroughManagement) Create(context.Context, management.Caller, management.Scope, management.TokenSpec) (management.Issued, error) {
	return management.Issued{}, u.asked("Create")
}

func (u passThroughManagement) List(context.Context, management.Scope) ([]management.Token, error) {
	return nil, u.asked("List")
}

func (u passThroughManagement) Get(context.Context, management.Scope, string) (management.Token, error) {
	return management.Token{}, u.asked("Get")
}

func (u passThroughManagement) Change(context.Context, management.Caller, management.Scope, string, management.Change) (management.Token, error) {
	return management.Token{}, u.asked("Change")
}

func (u passThroughManagement) Clone(context.Context, management.Caller, management.Scope, string, string, string) (management.Issued, error) {
	return management.Issued{}, u.asked("Clone")
}

func (u passThroughManagement) Rotate(context.Context, management.Caller, management.Scope, string, string) (management.Issued, error) {
	return management.Issued{}, u.asked("Rotate")
}

func (u passThroughManagement) RotateOwn(context.Context, management.Caller, token.Digest, string) (management.Issued, error) {
	return management.Issued{}, u.asked("RotateOwn")
}

func (u passThroughManagement) Revoke(context.Context, management.Scope, string) error {
	return u.asked("Revoke")
}
