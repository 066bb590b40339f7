package server_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/desk"
)

const (
	ofAcme     = "/application-tokens/v1/clients/acme/application-token"
	ofUmbrella = "/application-tokens/v1/clients/umbrella/application-token"
	ofUser     = "/application-tokens/v1/application-token"

	viewKeys = "client declared hint id issuedAt name namespace object permissions predecessors ready reason roles rotations sourceRanges state"
)

// below puts a prefix before each of the keys.
func below(prefix, keys string) string {
	return prefix + " " + prefix + "." + strings.ReplaceAll(keys, " ", " "+prefix+".")
}

var (
	made   = below("applicationToken", viewKeys)
	nobody = `{"error":"not_found","error_description":"there is nothing at this path"}` + "\n"
)

// The whole life of a client's tokens, for each caller with the permission, under both prefixes.
func TestTheTokensOfAClient(t *testing.T) {
	for _, prefix := range []string{"", "/admin-api"} {
		h := newOpenInn(t)
		admin, at := h.login("alice"), prefix+ofAcme
		got := h.call(http.MethodPut, at+"/nightly", bearer(admin), object(`{"roles":["client~primary"],"permissions":["sec.continuous.rest"],"sourceRanges":["192.0.2.0/24"],"lifetime":"720h"}`))
		tok := h.token(got, "data")
		if h.keys(got) != "applicationToken applicationToken.client applicationToken.declared applicationToken.expiresAt applicationToken.hint applicationToken.id "+
			"applicationToken.issuedAt applicationToken.lifetime applicationToken.name applicationToken.namespace applicationToken.object applicationToken.permissions "+
			"applicationToken.predecessors applicationToken.ready applicationToken.reason applicationToken.roles applicationToken.rotations "+
			"applicationToken.sourceRanges applicationToken.state data" { // [row 8]
			t.Errorf("made: %s", h.keys(got))
		}
		if got.header.Get("Cache-Control") != "no-store" || tok[:4] != "ata_" || !h.good(tok) || h.good(tok, from("198.51.100.1")) {
			t.Errorf("made: %d %v %s", got.status, got.header, got.body)
		}
		if got := h.call(http.MethodPut, at+"/nightly", bearer(admin)); got.status != 409 || !strings.Contains(got.body, "cannot be shown again") {
			t.Errorf("made once more: %d %s", got.status, got.body)
		}
		if got := h.call(http.MethodGet, at+"/nightly", bearer(admin)); got.status != 200 || h.keys(got) != below("data", sorted(viewKeys, "expiresAt", "lifetime")) || strings.Contains(got.body, tok[:52]) {
			t.Errorf("shown: %d %s", got.status, got.body)
		}
		if got := h.call(http.MethodPatch, at+"/nightly", bearer(admin), object(`{"state":"Suspended"}`)); got.status != 200 || h.good(tok) {
			t.Errorf("suspended: %d %s", got.status, got.body)
		}
		if got := h.call(http.MethodPatch, at+"/nightly", bearer(admin), object(`{"state":"Active","roles":[],"permissions":[],"sourceRanges":[]}`)); got.status != 200 || !h.good(tok, from("198.51.100.1")) {
			t.Errorf("let go on: %d %s", got.status, got.body)
		}
		if got := h.call(http.MethodGet, "/verify?permission=search.query", bearer(tok)); got.status != 403 {
			t.Errorf("without its role: %d", got.status)
		}
		cloned := h.call(http.MethodPost, at+"/nightly/clone", bearer(admin), object(`{"name":"weekly"}`))
		clone := h.token(cloned, "data")
		if !h.good(clone) || !h.good(tok) || clone == tok {
			t.Errorf("cloned: %d %s", cloned.status, cloned.body)
		}
		rotated := h.call(http.MethodPost, at+"/nightly/rotate", bearer(admin))
		next := h.token(rotated, "data")
		if !h.good(next) || !h.good(tok) {
			t.Errorf("rotated: %d %s", rotated.status, rotated.body)
		}
		list := h.call(http.MethodGet, at, bearer(admin))
		if all, _ := h.read(list)["data"].([]any); len(all) != 2 || all[0].(map[string]any)["name"] != "nightly" || all[1].(map[string]any)["name"] != "weekly" {
			t.Errorf("listed: %s", list.body)
		}
		if got := h.call(http.MethodDelete, at+"/nightly", bearer(admin)); got.status != 200 || got.body != "{}\n" || h.good(next) || h.good(tok) || !h.good(clone) {
			t.Errorf("revoked: %d %s", got.status, got.body)
		}
		for method, path := range map[string]string{"GET": "/nightly", "DELETE": "/nightly", "PATCH": "/nightly", "POST": "/nightly/rotate"} {
			if got := h.call(method, at+path, bearer(admin)); got.status != 404 || got.body != nobody {
				t.Errorf("%s of what is gone: %d %s", method, got.status, got.body)
			}
		}
		for _, what := range []string{"created", "changed", "cloned", "rotated", "revoked"} {
			if !strings.Contains(h.audit.text(), `"event":"token.`+what+`"`) {
				t.Errorf("the audit log does not say %q", what)
			}
		}
		h.clean()
	}
}

// sorted returns sorted words with more words added.
func sorted(words string, more ...string) string {
	all := append(strings.Fields(words), more...)
	slices.Sort(all)
	return strings.Join(all, " ")
}

func TestATokenWithoutAnythingHasNoPermissionAndNoEnd(t *testing.T) {
	h := newOpenInn(t)
	admin := h.login("alice")
	for name, body := range map[string]part{"no-body": header("A", "b"), "empty-object": object("{}"), "null-lists": object(`{"roles":null,"permissions":null}`), "empty-lists": object(`{"roles":[],"permissions":[]}`)} {
		got := h.call(http.MethodPut, ofAcme+"/"+name, bearer(admin), body)
		tok := h.token(got, "data")
		if h.keys(got) != made+" data" {
			t.Errorf("%s: %s", name, h.keys(got))
		}
		h.clock.goes(30 * time.Minute)
		if id := h.call(http.MethodGet, "/verify", bearer(tok)); id.status != 200 || id.header.Get("X-Apptoken-Roles")+id.header.Get("X-Apptoken-Permissions") != "" {
			t.Errorf("%s: %d %v", name, id.status, id.header)
		}
		admin = h.login("alice")
	}
}

// With the permission, a user creates tokens of its own. Without any, it lists and revokes them.
func TestTheTokensOfAUser(t *testing.T) {
	for _, prefix := range []string{"", "/admin-api"} {
		h := newOpenInn(t)
		alice, at := h.login("alice"), prefix+ofUser
		got := h.call(http.MethodPut, at+"/mine", security(alice))
		tok := h.token(got, "data")
		if h.keys(got) != below("applicationToken", sorted(viewKeys, "user"))+" data" || tok[:4] != "atu_" {
			t.Errorf("made: %s", got.body)
		}
		if id := h.call(http.MethodGet, "/verify?permission=search.query&client=acme", security(tok)); id.status != 200 || id.header.Get("X-Apptoken-User") != "alice" {
			t.Errorf("it shares the permissions of its user: %d %v", id.status, id.header)
		}
		if got := h.call(http.MethodPut, at+"/mine", security(alice)); got.status != 409 {
			t.Errorf("made once more: %d %s", got.status, got.body)
		}
		if got := h.call(http.MethodPut, at+"/other", security(alice), object(`{"roles":["reader"]}`)); got.status != 400 || h.read(got)["field"] != "roles" {
			t.Errorf("with a role: %d %s", got.status, got.body)
		}
		if got := h.call(http.MethodPost, at+"/mine/clone", security(alice), object(`{"name":"other"}`)); !h.good(h.token(got, "data")) {
			t.Errorf("cloned: %s", got.body)
		}
		if got := h.call(http.MethodPost, at+"/mine/rotate", security(alice)); !h.good(h.token(got, "data")) || !h.good(tok) {
			t.Errorf("rotated: %s", got.body)
		}
		if got := h.call(http.MethodPatch, at+"/other", security(alice), object(`{"state":"Suspended"}`)); got.status != 200 {
			t.Errorf("suspended: %d %s", got.status, got.body)
		}
		if all, _ := h.read(h.call(http.MethodGet, at, security(tok)))["data"].([]any); len(all) != 2 {
			t.Errorf("listed by one of them: %v", all)
		}
		// dave holds no permission, and an administrator has made a token for him
		h.make(desk.Scope{Client: "acme", User: "dave"}, desk.Wanted{Name: "his"})
		dave := h.login("dave")
		for call, status := range map[string]int{
			"GET ": 200, "GET /his": 200, "GET /mine": 404, "PUT /new": 403, "PATCH /his": 403, "POST /his/clone": 403, "POST /his/rotate": 403, "POST /mine/rotate": 403, "DELETE /mine": 404, "DELETE /his": 200,
		} {
			if call == "DELETE /his" {
				defer h.once(t, call, at, dave, status)
				continue
			}
			h.once(t, call, at, dave, status)
		}
		h.clean()
	}
}

func (h *inn) once(t *testing.T, call, at, by string, status int) {
	t.Helper()
	method, path, _ := strings.Cut(call, " ")
	got := h.call(method, at+path, bearer(by))
	if got.status != status || status == 404 && got.body != nobody {
		t.Errorf("%s: %d %s", call, got.status, got.body)
	}
}

func TestWhereThePermissionIsNotHeldNothingIsSaid(t *testing.T) {
	h := newOpenInn(t)
	h.appToken("client~primary")
	for name, by := range map[string]part{
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
	h.clean()
}

// [row 13]
func TestWhatIsSomebodyElsesIsAsWhatIsNotThere(t *testing.T) {
	h := newOpenInn(t)
	h.make(desk.Scope{Client: "umbrella"}, desk.Wanted{Name: "theirs"})
	h.make(desk.Scope{Client: "acme", User: "dave"}, desk.Wanted{Name: "his"})
	h.make(desk.Scope{Client: "umbrella", User: "alice"}, desk.Wanted{Name: "elsewhere"})
	admin, alice := h.appToken("developer"), h.login("alice")
	before := h.books.written()
	for name, x := range map[string]struct {
		by    part
		paths []string
	}{
		"a login": {bearer(alice), []string{
			ofUmbrella + "/theirs", ofUmbrella + "/none", ofAcme + "/theirs", ofAcme + "/his", ofAcme + "/none", ofUser + "/his", ofUser + "/theirs", ofUser + "/none", ofUser + "/elsewhere",
			"/application-tokens/v1/clients/none/application-token/theirs", "/application-tokens/v1/clients/frozen/application-token/x",
		}},
		"a token":                    {bearer(admin), []string{ofUmbrella + "/theirs", ofUmbrella + "/none", ofAcme + "/theirs", ofAcme + "/his", ofAcme + "/none"}},
		"a name":                     {basic("erin"), []string{ofAcme + "/theirs", ofAcme + "/none", ofUmbrella + "/his", ofUmbrella + "/none", "/application-tokens/v1/clients/none/application-token/x"}},
		"a name, at another account": {both(basic("alice"), addressed("account_id=2002")), []string{ofAcme + "/theirs", ofAcme + "/none"}},
	} {
		for _, path := range x.paths {
			for _, call := range []string{"GET ", "PATCH ", "DELETE ", "POST /clone", "POST /rotate"} {
				method, more, _ := strings.Cut(call, " ")
				body := object(`{"name":"copy"}`)
				switch {
				case method == http.MethodPatch:
					body = object(`{"state":"Suspended"}`)
				case more == "/rotate":
					body = header("A", "b")
				}
				if got := h.call(method, path+more, x.by, body); got.status != 404 || got.body != nobody {
					t.Errorf("%s, %s %s: %d %s", name, call, path, got.status, got.body)
				}
			}
		}
	}
	for _, call := range []string{"GET " + ofUmbrella, "PUT " + ofUmbrella + "/new", "GET /application-tokens/v1/clients/none/application-token", "GET /nowhere"} {
		method, path, _ := strings.Cut(call, " ")
		if got := h.call(method, path, bearer(alice)); got.status != 404 || got.body != nobody {
			t.Errorf("%s: %d %s", call, got.status, got.body)
		}
	}
	if got := h.call(http.MethodGet, ofUser, bearer(alice)); got.body != `{"data":[]}`+"\n" {
		t.Errorf("the list of a user: %s", got.body)
	}
	if got := h.call(http.MethodGet, ofAcme, bearer(alice)); strings.Contains(got.body, "theirs") || strings.Contains(got.body, "his") || strings.Contains(got.body, "elsewhere") {
		t.Errorf("the list of a client: %s", got.body)
	}
	if h.books.written() != before {
		t.Error("something was written")
	}
	h.clean()
}
