package tokenapi_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/management"
	"github.com/apptoken/operator/internal/testing/servertest"
)

const (
	viewKeys = "client declared hint id issuedAt name namespace object permissions predecessors ready reason roles rotations sourceRanges state"
)

// prefixKeys puts a prefix before each of the keys.
func prefixKeys(prefix, keys string) string {
	return prefix + " " + prefix + "." + strings.ReplaceAll(keys, " ", " "+prefix+".")
}

// Keys of a response that carries a token, and of one whose token goes into a Secret.
var issuedKeys, deferredKeys = issuedKeysOf(), deferredKeysOf()

func issuedKeysOf(more ...string) string { return deferredKeysOf(more...) + " password username" }

func deferredKeysOf(more ...string) string {
	return prefixKeys("applicationToken", sortKeys(viewKeys, more...)) + " data errorMessage"
}

// The whole life of a client's tokens, for each caller with the permission, under both prefixes.
func TestManage_LifeOfClientTokens(t *testing.T) {
	for _, prefix := range []string{"", "/admin-api"} {
		h := servertest.NewLoginServer(t)
		admin, at := h.Login("alice"), prefix+servertest.PathAcmeTokens
		got := h.Call(http.MethodPut, at+"/nightly", servertest.Bearer(admin), servertest.JSONBody(`{"roles":["client~primary"],"permissions":["sec.continuous.rest"],"sourceRanges":["192.0.2.0/24"],"lifetime":"720h"}`))
		tok := h.TokenIn(got, "data")
		if h.Keys(got) != issuedKeysOf("expiresAt", "lifetime") { // [row 8]
			t.Errorf("made: %s", h.Keys(got))
		}
		if got.Header.Get("Cache-Control") != "no-store" || tok[:4] != "ata_" || !h.IsValid(tok) || h.IsValid(tok, servertest.WithForwardedFor("198.51.100.1")) {
			t.Errorf("made: %d %v %s", got.Status, got.Header, got.Body)
		}
		if got := h.Call(http.MethodPut, at+"/nightly", servertest.Bearer(admin)); got.Status != 409 || !strings.Contains(got.Body, "cannot be shown again") {
			t.Errorf("made once more: %d %s", got.Status, got.Body)
		}
		if got := h.Call(http.MethodGet, at+"/nightly", servertest.Bearer(admin)); got.Status != 200 || h.Keys(got) != prefixKeys("data", sortKeys(viewKeys, "expiresAt", "lifetime"))+" errorMessage" || strings.Contains(got.Body, tok[:52]) {
			t.Errorf("shown: %d %s", got.Status, got.Body)
		}
		if got := h.Call(http.MethodPatch, at+"/nightly", servertest.Bearer(admin), servertest.JSONBody(`{"state":"Suspended"}`)); got.Status != 200 || h.IsValid(tok) {
			t.Errorf("suspended: %d %s", got.Status, got.Body)
		}
		if got := h.Call(http.MethodPatch, at+"/nightly", servertest.Bearer(admin), servertest.JSONBody(`{"state":"Active","roles":[],"permissions":[],"sourceRanges":[]}`)); got.Status != 200 || !h.IsValid(tok, servertest.WithForwardedFor("198.51.100.1")) {
			t.Errorf("let go on: %d %s", got.Status, got.Body)
		}
		if got := h.Call(http.MethodGet, "/verify?permission=search.query", servertest.Bearer(tok)); got.Status != 403 {
			t.Errorf("without its role: %d", got.Status)
		}
		cloned := h.Call(http.MethodPost, at+"/nightly/clone", servertest.Bearer(admin), servertest.JSONBody(`{"name":"weekly"}`))
		clone := h.TokenIn(cloned, "data")
		if !h.IsValid(clone) || !h.IsValid(tok) || clone == tok {
			t.Errorf("cloned: %d %s", cloned.Status, cloned.Body)
		}
		rotated := h.Call(http.MethodPost, at+"/nightly/rotate", servertest.Bearer(admin))
		next := h.TokenIn(rotated, "data")
		if !h.IsValid(next) || !h.IsValid(tok) {
			t.Errorf("rotated: %d %s", rotated.Status, rotated.Body)
		}
		list := h.Call(http.MethodGet, at, servertest.Bearer(admin))
		if all, _ := h.Members(list)["data"].([]any); len(all) != 2 || all[0].(map[string]any)["name"] != "nightly" || all[1].(map[string]any)["name"] != "weekly" {
			t.Errorf("listed: %s", list.Body)
		}
		if got := h.Call(http.MethodDelete, at+"/nightly", servertest.Bearer(admin)); got.Status != 200 || h.Keys(got) != "data errorMessage" || h.IsValid(next) || h.IsValid(tok) || !h.IsValid(clone) {
			t.Errorf("revoked: %d %s", got.Status, got.Body)
		}
		for method, path := range map[string]string{"GET": "/nightly", "DELETE": "/nightly", "PATCH": "/nightly", "POST": "/nightly/rotate"} {
			if got := h.Call(method, at+path, servertest.Bearer(admin)); got.Status != 404 || got.Body != servertest.EnvelopeNotFoundBody {
				t.Errorf("%s of what is gone: %d %s", method, got.Status, got.Body)
			}
		}
		for _, what := range []string{"created", "changed", "cloned", "rotated", "revoked"} {
			if !strings.Contains(h.AuditLog.Text(), `"event":"token.`+what+`"`) {
				t.Errorf("the audit log does not say %q", what)
			}
		}
		h.CheckNoSecretInAudit()
	}
}

// sortKeys returns sorted words with more words added.
func sortKeys(words string, more ...string) string {
	all := append(strings.Fields(words), more...)
	slices.Sort(all)
	return strings.Join(all, " ")
}

func TestManage_EmptyBodyMakesTokenWithoutPermissionAndExpiry(t *testing.T) {
	h := servertest.NewLoginServer(t)
	admin := h.Login("alice")
	for name, body := range map[string]servertest.RequestOption{"no-body": servertest.Header("A", "b"), "empty-object": servertest.JSONBody("{}"), "null-lists": servertest.JSONBody(`{"roles":null,"permissions":null}`), "empty-lists": servertest.JSONBody(`{"roles":[],"permissions":[]}`)} {
		got := h.Call(http.MethodPut, servertest.PathAcmeTokens+"/"+name, servertest.Bearer(admin), body)
		tok := h.TokenIn(got, "data")
		if h.Keys(got) != issuedKeys {
			t.Errorf("%s: %s", name, h.Keys(got))
		}
		h.Clock.Advance(30 * time.Minute)
		if id := h.Call(http.MethodGet, "/verify", servertest.Bearer(tok)); id.Status != 200 || id.Header.Get("X-Apptoken-Roles")+id.Header.Get("X-Apptoken-Permissions") != "" {
			t.Errorf("%s: %d %v", name, id.Status, id.Header)
		}
		admin = h.Login("alice")
	}
}

// With the permission, a user creates tokens of its own. Without any, it lists and revokes them.
func TestManage_LifeOfUserTokens(t *testing.T) {
	for _, prefix := range []string{"", "/admin-api"} {
		h := servertest.NewLoginServer(t)
		alice, at := h.Login("alice"), prefix+servertest.PathUserTokens
		got := h.Call(http.MethodPut, at+"/mine", servertest.SecurityToken(alice))
		tok := h.TokenIn(got, "data")
		if h.Keys(got) != issuedKeysOf("user") || tok[:4] != "atu_" {
			t.Errorf("made: %s", got.Body)
		}
		if id := h.Call(http.MethodGet, "/verify?permission=search.query&client=acme", servertest.SecurityToken(tok)); id.Status != 200 || id.Header.Get("X-Apptoken-User") != "alice" {
			t.Errorf("it shares the permissions of its user: %d %v", id.Status, id.Header)
		}
		if got := h.Call(http.MethodPut, at+"/mine", servertest.SecurityToken(alice)); got.Status != 409 {
			t.Errorf("made once more: %d %s", got.Status, got.Body)
		}
		if got := h.Call(http.MethodPut, at+"/other", servertest.SecurityToken(alice), servertest.JSONBody(`{"roles":["reader"]}`)); got.Status != 400 || h.Members(got)["field"] != "roles" {
			t.Errorf("with a role: %d %s", got.Status, got.Body)
		}
		if got := h.Call(http.MethodPost, at+"/mine/clone", servertest.SecurityToken(alice), servertest.JSONBody(`{"name":"other"}`)); !h.IsValid(h.TokenIn(got, "data")) {
			t.Errorf("cloned: %s", got.Body)
		}
		if got := h.Call(http.MethodPost, at+"/mine/rotate", servertest.SecurityToken(alice)); !h.IsValid(h.TokenIn(got, "data")) || !h.IsValid(tok) {
			t.Errorf("rotated: %s", got.Body)
		}
		if got := h.Call(http.MethodPatch, at+"/other", servertest.SecurityToken(alice), servertest.JSONBody(`{"state":"Suspended"}`)); got.Status != 200 {
			t.Errorf("suspended: %d %s", got.Status, got.Body)
		}
		if all, _ := h.Members(h.Call(http.MethodGet, at, servertest.SecurityToken(tok)))["data"].([]any); len(all) != 2 {
			t.Errorf("listed by one of them: %v", all)
		}
		// dave holds no permission, and an administrator has made a token for him
		h.CreateToken(management.Scope{Client: "acme", User: "dave"}, management.TokenSpec{Name: "his"})
		dave := h.Login("dave")
		for call, status := range map[string]int{
			"GET ": 200, "GET /his": 200, "GET /mine": 404, "PUT /new": 403, "PATCH /his": 403, "POST /his/clone": 403, "POST /his/rotate": 403, "POST /mine/rotate": 403, "DELETE /mine": 404, "DELETE /his": 200,
		} {
			if call == "DELETE /his" {
				defer expectOnce(h, t, call, at, dave, status)
				continue
			}
			expectOnce(h, t, call, at, dave, status)
		}
		h.CheckNoSecretInAudit()
	}
}

func expectOnce(h *servertest.LoginServer, t *testing.T, call, at, by string, status int) {
	t.Helper()
	method, path, _ := strings.Cut(call, " ")
	got := h.Call(method, at+path, servertest.Bearer(by))
	if got.Status != status || status == 404 && got.Body != servertest.EnvelopeNotFoundBody {
		t.Errorf("%s: %d %s", call, got.Status, got.Body)
	}
}
