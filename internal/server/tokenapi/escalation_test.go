package server_test

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	auditlog "github.com/apptoken/operator/internal/audit"
	"github.com/apptoken/operator/internal/grant"
	"github.com/apptoken/operator/internal/management"
	"github.com/apptoken/operator/internal/server/endpoint"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
)

// Each request that makes, changes or shows a token passes on the authority of its caller.
func TestManage_CallerNeverGivesMoreThanItHolds(t *testing.T) {
	const over = `{"roles":["client~primary"]}`
	h := newLoginServer(t)
	h.createToken(management.Scope{Client: "acme"}, management.TokenSpec{Name: "strong", Roles: []string{"client~primary"}})
	h.createToken(management.Scope{Client: "acme"}, management.TokenSpec{Name: "weak"})
	developer := h.appToken("developer")
	// "*" is the only wildcard that covers the permission; no role of acme has it
	ceiling := grant.NewCeiling(append(slices.Clone(roles["acme"]), grant.Role{Name: "escalator", Permissions: []string{management.PermissionEscalate}}))
	h.index.SetClient(verify.Client{Name: "acme", AccountID: 1001, Ceiling: ceiling})
	h.management.ceilings["acme"] = ceiling
	escalator := h.appToken("developer", "escalator")
	before := h.store.writeCounts()
	for name, x := range map[string]struct {
		call string
		body requestOption
	}{
		"made":    {"PUT /new", jsonBody(over)},
		"changed": {"PATCH /weak", jsonBody(over)},
		"cloned":  {"POST /strong/clone", jsonBody(`{"name":"copy"}`)},
		"rotated": {"POST /strong/rotate", header("A", "b")},
	} {
		method, path, _ := strings.Cut(x.call, " ")
		got := h.call(method, ofAcme+path, bearer(developer), x.body)
		if got.status != 403 || h.read(got)["error"] != "insufficient_scope" || h.read(got)["field"] != "roles" || !strings.Contains(got.header.Get("Www-Authenticate"), "insufficient_scope") {
			t.Errorf("%s by a developer: %d %s", name, got.status, got.body)
		}
	}
	if h.store.writeCounts() != before {
		t.Error("something was written")
	}
	if lines := h.audit.events(t, auditlog.CredentialRefused); len(lines) != 1 || lines[0]["token"] == nil || lines[0]["endpoint"] != "manage" || lines[0]["verdict"] != "PermissionMissing" {
		t.Errorf("the audit log has %v, want a line that names the developer", lines)
	}
	for _, call := range []string{"PUT /new", "PATCH /weak", "POST /strong/clone", "POST /strong/rotate"} {
		method, path, _ := strings.Cut(call, " ")
		body := jsonBody(over)
		switch {
		case strings.HasSuffix(path, "clone"):
			body = jsonBody(`{"name":"copy"}`)
		case strings.HasSuffix(path, "rotate"):
			body = header("A", "b")
		}
		if got := h.call(method, ofAcme+path, bearer(escalator), body); got.status != 200 {
			t.Errorf("%s by one who escalates: %d %s", call, got.status, got.body)
		}
	}
	h.checkNoSecretInAudit()
}

// A login ends within the hour, and the tokens that it makes live on. An application token makes
// none that outlives it, or that is accepted from other addresses.
func TestManage_ApplicationTokenGivesNoLongerLifeThanItsOwn(t *testing.T) {
	h := newLoginServer(t)
	caller := h.createToken(management.Scope{Client: "acme"}, management.TokenSpec{
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
		got := h.call(http.MethodPut, ofAcme+"/new", bearer(caller), jsonBody(body))
		if field != nil && (got.status != 403 || h.read(got)["field"] != field) || field == nil && got.status != 200 {
			t.Errorf("%s: %d %s", body, got.status, got.body)
		}
	}
	if got := h.call(http.MethodPut, ofAcme+"/lasting", bearer(h.login("alice"))); got.status != 200 {
		t.Errorf("by a login: %d %s", got.status, got.body)
	}
	session, id := h.session("60")
	if got := h.call(http.MethodPut, ofAcme+"/wide", bearer(session), cookies("SESSION="+id)); got.status != 403 || h.read(got)["field"] != "sourceRanges" {
		t.Errorf("by a session that is bound to an address: %d %s", got.status, got.body)
	}
	h.checkNoSecretInAudit()
}

func TestIntrospect_OtherClientsTokenIsInactive(t *testing.T) {
	h := newFixture(t)
	active := func(by, tok string) bool {
		t.Helper()
		got := h.post("/oauth2/introspect", by, url.Values{"token": {h.Tokens[tok]}})
		if got.status != http.StatusOK {
			t.Fatalf("%s about %s: %d %s", by, tok, got.status, got.body)
		}
		if got.json(t)["active"] != true && got.body != "{\"active\":false}\n" {
			t.Errorf("%s about %s: %s", by, tok, got.body)
		}
		return got.json(t)["active"] == true
	}
	for tok, want := range map[string]map[string]bool{
		"indexer":  {"introspector": false, "auditor": true, "root": true},
		"login":    {"introspector": false, "auditor": true, "root": true},
		"revoker":  {"introspector": true, "auditor": true, "root": true},
		"userkind": {"introspector": false, "auditor": true, "root": true},
	} {
		for by, want := range want {
			if got := active(by, tok); got != want {
				t.Errorf("%s about %s: active is %t", by, tok, got)
			}
		}
	}
}

// An introspection by another client's server is no use: it would keep a predecessor from retiring.
func TestIntrospect_OtherClientsTokenIsNotUsed(t *testing.T) {
	h := newFixture(t)
	h.Index.TakeUses(1 << 20)
	h.post("/oauth2/introspect", "introspector", url.Values{"token": {h.Tokens["indexer"]}})
	for _, u := range h.Index.TakeUses(1 << 20) {
		if u.ID.String() == h.Fixture.Records["indexer"].Name() {
			t.Error("it was used")
		}
	}
}

// The response, and the reads for it, are the same for another client's token as for an unknown
// one.
func TestRevoke_OtherClientsTokenIsLikeNone(t *testing.T) {
	h := newLoginServer(t)
	revoker := h.createToken(management.Scope{Client: "acme"}, management.TokenSpec{Name: "revoker", Roles: []string{"revoker"}})
	theirs := h.createToken(management.Scope{Client: "umbrella"}, management.TokenSpec{Name: "theirs"})
	other := h.call(http.MethodPost, "/oauth2/revoke", bearer(revoker), formBody("token", theirs))
	none := h.call(http.MethodPost, "/oauth2/revoke", bearer(revoker), formBody("token", h.unknownToken()))
	if other.status != 200 || none.status != 200 || other.body != none.body || !h.isValid(theirs) {
		t.Errorf("%d %s and %d %s", other.status, other.body, none.status, none.body)
	}
	h.checkNoSecretInAudit()
}

// A caller without the permission is refused before any lookup, which would reveal whether a token
// exists.
func TestManage_PermissionBeforeLookup(t *testing.T) {
	h := newLoginServer(t)
	h.appToken("client~primary")
	weak := h.appToken("reader")
	h.Endpoints.Management = passThroughManagement{h.management.Subject, t}
	for _, call := range []string{
		"GET ", "GET /none", "PUT /new", "PATCH /appclient~primary", "PATCH /none", "DELETE /appclient~primary", "DELETE /none",
		"POST /appclient~primary/clone", "POST /none/clone", "POST /appclient~primary/rotate", "POST /none/rotate",
	} {
		method, path, _ := strings.Cut(call, " ")
		if got := h.call(method, ofAcme+path, bearer(weak)); got.status != 403 {
			t.Errorf("%s: %d %s", call, got.status, got.body)
		}
	}
	for _, call := range []string{"PUT /new", "PATCH /none", "POST /none/clone", "POST /none/rotate"} {
		method, path, _ := strings.Cut(call, " ")
		if got := h.call(method, ofUser+path, bearer(h.login("dave"))); got.status != 403 {
			t.Errorf("a user's, %s: %d %s", call, got.status, got.body)
		}
	}
	h.checkNoSecretInAudit()
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

func TestManage_BudgetPerCaller(t *testing.T) {
	h := newLoginServer(t)
	h.Endpoints.Budget = endpoint.NewBudget(endpoint.BudgetOptions{PerCaller: 2, PerClient: 3})
	weak := h.createToken(management.Scope{Client: "acme", User: "dave"}, management.TokenSpec{Name: "one"})
	other := h.createToken(management.Scope{Client: "acme", User: "dave"}, management.TokenSpec{Name: "other"})
	statuses := map[int]int{}
	for i := range 20 {
		by := []string{weak, other, h.login("dave")}[i%3] // one user, with several credentials
		got := h.call(http.MethodGet, ofUser+"/none", bearer(by))
		if statuses[got.status]++; got.status == 429 && (got.header.Get("Retry-After") != "1" || h.read(got)["error"] != "too_many_requests") {
			t.Errorf("%v %s", got.header, got.body)
		}
	}
	if statuses[404] != 8 || statuses[429] != 12 {
		t.Errorf("a user with three credentials: %v", statuses)
	}
	alice := h.login("alice")
	if got := h.call(http.MethodGet, ofUser, bearer(alice)); got.status != 200 {
		t.Errorf("another caller of the client: %d", got.status)
	}
	for range 20 {
		h.call(http.MethodGet, ofUser, bearer(alice))
	}
	if got := h.call(http.MethodGet, ofUser, bearer(h.login("alice"))); got.status != 429 {
		t.Errorf("the client's budget is used up: %d", got.status)
	}
	if got := h.call(http.MethodGet, ofUmbrella, basic("erin")); got.status != 200 {
		t.Errorf("another client: %d", got.status)
	}
	h.clock.advance(time.Second)
	if got := h.call(http.MethodGet, ofUser+"/none", bearer(weak)); got.status != 404 {
		t.Errorf("a second later: %d", got.status)
	}
	h.checkNoSecretInAudit()
}

// A tenant holds many tokens. A token that ends itself takes from the budget of its client too.
func TestRevoke_BudgetPerClient(t *testing.T) {
	h := newLoginServer(t)
	h.Endpoints.Budget = endpoint.NewBudget(endpoint.BudgetOptions{PerCaller: 10, PerClient: 1})
	statuses := map[int]int{}
	for i := range 6 {
		tok := h.createToken(management.Scope{Client: "acme"}, management.TokenSpec{Name: "expired-" + strconv.Itoa(i), Lifetime: time.Second})
		h.clock.advance(time.Second)
		statuses[h.call(http.MethodPost, "/oauth2/revoke", formBody("token", tok)).status]++
		h.clock.advance(-time.Second)
	}
	if statuses[200] != 4 || statuses[429] != 2 {
		t.Errorf("%v, want four seconds' worth", statuses)
	}
}

func TestBudget_CoversRevocationAndIntrospection(t *testing.T) {
	h := newLoginServer(t)
	h.Endpoints.Budget = endpoint.NewBudget(endpoint.BudgetOptions{PerCaller: 1})
	revoker := h.createToken(management.Scope{Client: "acme"}, management.TokenSpec{Name: "revoker", Roles: []string{"revoker"}})
	expired := h.createToken(management.Scope{Client: "acme"}, management.TokenSpec{Name: "expired", Lifetime: time.Second})
	h.clock.advance(time.Minute)
	for name, parts := range map[string][]requestOption{
		"a revocation of what is unknown": {bearer(revoker), formBody("token", h.unknownToken())},
		"of itself, after its end":        {formBody("token", expired)},
	} {
		last := 0
		for range 5 {
			last = h.call(http.MethodPost, "/oauth2/revoke", parts...).status
		}
		if last != 429 {
			t.Errorf("%s: %d", name, last)
		}
	}
	hs := newFixture(t)
	hs.Endpoints.Budget = endpoint.NewBudget(endpoint.BudgetOptions{PerCaller: 1})
	statuses := map[int]int{}
	for range 6 {
		statuses[hs.post("/oauth2/introspect", "introspector", url.Values{"token": {h.unknownToken()}}).status]++
		statuses[hs.post("/oauth2/introspect", "introspector", url.Values{"token": {hs.Tokens["introspector"]}}).status]++ // decided from memory
	}
	if statuses[429] != 2 || statuses[200] != 10 {
		t.Errorf("introspections: %v", statuses)
	}
}
