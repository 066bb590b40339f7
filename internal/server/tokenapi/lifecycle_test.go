package server_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/management"
)

const (
	ofAcme     = "/application-tokens/v1/clients/acme/application-token"
	ofUmbrella = "/application-tokens/v1/clients/umbrella/application-token"
	ofUser     = "/application-tokens/v1/application-token"

	viewKeys = "client declared hint id issuedAt name namespace object permissions predecessors ready reason roles rotations sourceRanges state"
)

// prefixKeys puts a prefix before each of the keys.
func prefixKeys(prefix, keys string) string {
	return prefix + " " + prefix + "." + strings.ReplaceAll(keys, " ", " "+prefix+".")
}

var (
	issuedKeys   = prefixKeys("applicationToken", viewKeys)
	notFoundBody = `{"error":"not_found","error_description":"there is nothing at this path"}` + "\n"
)

// The whole life of a client's tokens, for each caller with the permission, under both prefixes.
func TestManage_LifeOfClientTokens(t *testing.T) {
	for _, prefix := range []string{"", "/admin-api"} {
		h := newLoginServer(t)
		admin, at := h.login("alice"), prefix+ofAcme
		got := h.call(http.MethodPut, at+"/nightly", bearer(admin), jsonBody(`{"roles":["client~primary"],"permissions":["sec.continuous.rest"],"sourceRanges":["192.0.2.0/24"],"lifetime":"720h"}`))
		tok := h.token(got, "data")
		if h.keys(got) != "applicationToken applicationToken.client applicationToken.declared applicationToken.expiresAt applicationToken.hint applicationToken.id "+
			"applicationToken.issuedAt applicationToken.lifetime applicationToken.name applicationToken.namespace applicationToken.object applicationToken.permissions "+
			"applicationToken.predecessors applicationToken.ready applicationToken.reason applicationToken.roles applicationToken.rotations "+
			"applicationToken.sourceRanges applicationToken.state data" { // [row 8]
			t.Errorf("made: %s", h.keys(got))
		}
		if got.header.Get("Cache-Control") != "no-store" || tok[:4] != "ata_" || !h.isValid(tok) || h.isValid(tok, withForwardedFor("198.51.100.1")) {
			t.Errorf("made: %d %v %s", got.status, got.header, got.body)
		}
		if got := h.call(http.MethodPut, at+"/nightly", bearer(admin)); got.status != 409 || !strings.Contains(got.body, "cannot be shown again") {
			t.Errorf("made once more: %d %s", got.status, got.body)
		}
		if got := h.call(http.MethodGet, at+"/nightly", bearer(admin)); got.status != 200 || h.keys(got) != prefixKeys("data", sortKeys(viewKeys, "expiresAt", "lifetime")) || strings.Contains(got.body, tok[:52]) {
			t.Errorf("shown: %d %s", got.status, got.body)
		}
		if got := h.call(http.MethodPatch, at+"/nightly", bearer(admin), jsonBody(`{"state":"Suspended"}`)); got.status != 200 || h.isValid(tok) {
			t.Errorf("suspended: %d %s", got.status, got.body)
		}
		if got := h.call(http.MethodPatch, at+"/nightly", bearer(admin), jsonBody(`{"state":"Active","roles":[],"permissions":[],"sourceRanges":[]}`)); got.status != 200 || !h.isValid(tok, withForwardedFor("198.51.100.1")) {
			t.Errorf("let go on: %d %s", got.status, got.body)
		}
		if got := h.call(http.MethodGet, "/verify?permission=search.query", bearer(tok)); got.status != 403 {
			t.Errorf("without its role: %d", got.status)
		}
		cloned := h.call(http.MethodPost, at+"/nightly/clone", bearer(admin), jsonBody(`{"name":"weekly"}`))
		clone := h.token(cloned, "data")
		if !h.isValid(clone) || !h.isValid(tok) || clone == tok {
			t.Errorf("cloned: %d %s", cloned.status, cloned.body)
		}
		rotated := h.call(http.MethodPost, at+"/nightly/rotate", bearer(admin))
		next := h.token(rotated, "data")
		if !h.isValid(next) || !h.isValid(tok) {
			t.Errorf("rotated: %d %s", rotated.status, rotated.body)
		}
		list := h.call(http.MethodGet, at, bearer(admin))
		if all, _ := h.read(list)["data"].([]any); len(all) != 2 || all[0].(map[string]any)["name"] != "nightly" || all[1].(map[string]any)["name"] != "weekly" {
			t.Errorf("listed: %s", list.body)
		}
		if got := h.call(http.MethodDelete, at+"/nightly", bearer(admin)); got.status != 200 || got.body != "{}\n" || h.isValid(next) || h.isValid(tok) || !h.isValid(clone) {
			t.Errorf("revoked: %d %s", got.status, got.body)
		}
		for method, path := range map[string]string{"GET": "/nightly", "DELETE": "/nightly", "PATCH": "/nightly", "POST": "/nightly/rotate"} {
			if got := h.call(method, at+path, bearer(admin)); got.status != 404 || got.body != notFoundBody {
				t.Errorf("%s of what is gone: %d %s", method, got.status, got.body)
			}
		}
		for _, what := range []string{"created", "changed", "cloned", "rotated", "revoked"} {
			if !strings.Contains(h.audit.text(), `"event":"token.`+what+`"`) {
				t.Errorf("the audit log does not say %q", what)
			}
		}
		h.checkNoSecretInAudit()
	}
}

// sortKeys returns sorted words with more words added.
func sortKeys(words string, more ...string) string {
	all := append(strings.Fields(words), more...)
	slices.Sort(all)
	return strings.Join(all, " ")
}

func TestManage_EmptyBodyMakesTokenWithoutPermissionAndExpiry(t *testing.T) {
	h := newLoginServer(t)
	admin := h.login("alice")
	for name, body := range map[string]requestOption{"no-body": header("A", "b"), "empty-object": jsonBody("{}"), "null-lists": jsonBody(`{"roles":null,"permissions":null}`), "empty-lists": jsonBody(`{"roles":[],"permissions":[]}`)} {
		got := h.call(http.MethodPut, ofAcme+"/"+name, bearer(admin), body)
		tok := h.token(got, "data")
		if h.keys(got) != issuedKeys+" data" {
			t.Errorf("%s: %s", name, h.keys(got))
		}
		h.clock.advance(30 * time.Minute)
		if id := h.call(http.MethodGet, "/verify", bearer(tok)); id.status != 200 || id.header.Get("X-Apptoken-Roles")+id.header.Get("X-Apptoken-Permissions") != "" {
			t.Errorf("%s: %d %v", name, id.status, id.header)
		}
		admin = h.login("alice")
	}
}

// With the permission, a user creates tokens of its own. Without any, it lists and revokes them.
func TestManage_LifeOfUserTokens(t *testing.T) {
	for _, prefix := range []string{"", "/admin-api"} {
		h := newLoginServer(t)
		alice, at := h.login("alice"), prefix+ofUser
		got := h.call(http.MethodPut, at+"/mine", securityToken(alice))
		tok := h.token(got, "data")
		if h.keys(got) != prefixKeys("applicationToken", sortKeys(viewKeys, "user"))+" data" || tok[:4] != "atu_" {
			t.Errorf("made: %s", got.body)
		}
		if id := h.call(http.MethodGet, "/verify?permission=search.query&client=acme", securityToken(tok)); id.status != 200 || id.header.Get("X-Apptoken-User") != "alice" {
			t.Errorf("it shares the permissions of its user: %d %v", id.status, id.header)
		}
		if got := h.call(http.MethodPut, at+"/mine", securityToken(alice)); got.status != 409 {
			t.Errorf("made once more: %d %s", got.status, got.body)
		}
		if got := h.call(http.MethodPut, at+"/other", securityToken(alice), jsonBody(`{"roles":["reader"]}`)); got.status != 400 || h.read(got)["field"] != "roles" {
			t.Errorf("with a role: %d %s", got.status, got.body)
		}
		if got := h.call(http.MethodPost, at+"/mine/clone", securityToken(alice), jsonBody(`{"name":"other"}`)); !h.isValid(h.token(got, "data")) {
			t.Errorf("cloned: %s", got.body)
		}
		if got := h.call(http.MethodPost, at+"/mine/rotate", securityToken(alice)); !h.isValid(h.token(got, "data")) || !h.isValid(tok) {
			t.Errorf("rotated: %s", got.body)
		}
		if got := h.call(http.MethodPatch, at+"/other", securityToken(alice), jsonBody(`{"state":"Suspended"}`)); got.status != 200 {
			t.Errorf("suspended: %d %s", got.status, got.body)
		}
		if all, _ := h.read(h.call(http.MethodGet, at, securityToken(tok)))["data"].([]any); len(all) != 2 {
			t.Errorf("listed by one of them: %v", all)
		}
		// dave holds no permission, and an administrator has made a token for him
		h.createToken(management.Scope{Client: "acme", User: "dave"}, management.TokenSpec{Name: "his"})
		dave := h.login("dave")
		for call, status := range map[string]int{
			"GET ": 200, "GET /his": 200, "GET /mine": 404, "PUT /new": 403, "PATCH /his": 403, "POST /his/clone": 403, "POST /his/rotate": 403, "POST /mine/rotate": 403, "DELETE /mine": 404, "DELETE /his": 200,
		} {
			if call == "DELETE /his" {
				defer h.expectOnce(t, call, at, dave, status)
				continue
			}
			h.expectOnce(t, call, at, dave, status)
		}
		h.checkNoSecretInAudit()
	}
}

func (h *loginFixture) expectOnce(t *testing.T, call, at, by string, status int) {
	t.Helper()
	method, path, _ := strings.Cut(call, " ")
	got := h.call(method, at+path, bearer(by))
	if got.status != status || status == 404 && got.body != notFoundBody {
		t.Errorf("%s: %d %s", call, got.status, got.body)
	}
}

func TestManage_WithoutPermissionRevealsNothing(t *testing.T) {
	h := newLoginServer(t)
	h.appToken("client~primary")
	for name, by := range map[string]requestOption{
		"a user without it":          bearer(h.login("dave")),
		"a user without it, by name": basic("dave"),
		"a token without it":         bearer(h.appToken("reader")),
		"a token with another":       bearer(h.appToken("sec.continuous.rest")),
	} {
		bodies := map[string]bool{}
		for _, call := range []string{
			"GET ", "GET /appreader", "GET /none", "PUT /new", "PUT /appclient~primary", "PATCH /appclient~primary", "PATCH /none", "DELETE /appclient~primary", "DELETE /none",
			"POST /appclient~primary/clone", "POST /none/clone", "POST /appclient~primary/rotate", "POST /none/rotate",
		} {
			method, path, _ := strings.Cut(call, " ")
			got := h.call(method, ofAcme+path, by)
			if got.status != 403 || h.read(got)["error"] != "insufficient_scope" || !strings.Contains(got.header.Get("Www-Authenticate"), "insufficient_scope") {
				t.Errorf("%s, %s: %d %s", name, call, got.status, got.body)
			}
			bodies[got.body] = true
		}
		if len(bodies) != 1 {
			t.Errorf("%s: %v", name, bodies)
		}
	}
	h.checkNoSecretInAudit()
}

// [row 13]
func TestManage_ForeignTokenLooksMissing(t *testing.T) {
	h := newLoginServer(t)
	h.createToken(management.Scope{Client: "umbrella"}, management.TokenSpec{Name: "theirs"})
	h.createToken(management.Scope{Client: "acme", User: "dave"}, management.TokenSpec{Name: "his"})
	h.createToken(management.Scope{Client: "umbrella", User: "alice"}, management.TokenSpec{Name: "elsewhere"})
	admin, alice := h.appToken("developer"), h.login("alice")
	before := h.store.writeCounts()
	for name, x := range map[string]struct {
		by        requestOption
		jsonPaths []string
	}{
		"a login": {bearer(alice), []string{
			ofUmbrella + "/theirs", ofUmbrella + "/none", ofAcme + "/theirs", ofAcme + "/his", ofAcme + "/none", ofUser + "/his", ofUser + "/theirs", ofUser + "/none", ofUser + "/elsewhere",
			"/application-tokens/v1/clients/none/application-token/theirs", "/application-tokens/v1/clients/frozen/application-token/x",
		}},
		"a token":                    {bearer(admin), []string{ofUmbrella + "/theirs", ofUmbrella + "/none", ofAcme + "/theirs", ofAcme + "/his", ofAcme + "/none"}},
		"a name":                     {basic("erin"), []string{ofAcme + "/theirs", ofAcme + "/none", ofUmbrella + "/his", ofUmbrella + "/none", "/application-tokens/v1/clients/none/application-token/x"}},
		"a name, at another account": {combined(basic("alice"), queryString("account_id=2002")), []string{ofAcme + "/theirs", ofAcme + "/none"}},
	} {
		for _, path := range x.jsonPaths {
			for _, call := range []string{"GET ", "PATCH ", "DELETE ", "POST /clone", "POST /rotate"} {
				method, more, _ := strings.Cut(call, " ")
				body := jsonBody(`{"name":"copy"}`)
				switch {
				case method == http.MethodPatch:
					body = jsonBody(`{"state":"Suspended"}`)
				case more == "/rotate":
					body = header("A", "b")
				}
				if got := h.call(method, path+more, x.by, body); got.status != 404 || got.body != notFoundBody {
					t.Errorf("%s, %s %s: %d %s", name, call, path, got.status, got.body)
				}
			}
		}
	}
	for _, call := range []string{"GET " + ofUmbrella, "PUT " + ofUmbrella + "/new", "GET /application-tokens/v1/clients/none/application-token", "GET /nowhere"} {
		method, path, _ := strings.Cut(call, " ")
		if got := h.call(method, path, bearer(alice)); got.status != 404 || got.body != notFoundBody {
			t.Errorf("%s: %d %s", call, got.status, got.body)
		}
	}
	if got := h.call(http.MethodGet, ofUser, bearer(alice)); got.body != `{"data":[]}`+"\n" {
		t.Errorf("the list of a user: %s", got.body)
	}
	if got := h.call(http.MethodGet, ofAcme, bearer(alice)); strings.Contains(got.body, "theirs") || strings.Contains(got.body, "his") || strings.Contains(got.body, "elsewhere") {
		t.Errorf("the list of a client: %s", got.body)
	}
	if h.store.writeCounts() != before {
		t.Error("something was written")
	}
	h.checkNoSecretInAudit()
}
