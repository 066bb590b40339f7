package server_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/management"
)

// [row 12]
func TestOutage_NothingIsClaimedAndTokensStayValid(t *testing.T) {
	h := newLoginServer(t)
	first := h.call(http.MethodPost, "/auth/login", formBody(credentialFields("alice")...))
	tok, refresh := h.token(first, "token"), h.token(first, "refreshToken")
	session, id := h.session("60")
	app := h.appToken("developer")
	own := h.createToken(management.Scope{Client: "acme", User: "alice"}, management.TokenSpec{Name: "own"})
	said := h.audit.text()
	before := h.store.writeCounts()
	h.store.failWith(errors.New("the API server is away"))
	for name, x := range map[string]struct {
		method, path string
		parts        []requestOption
	}{
		"a login by form":           {"POST", formLogin, []requestOption{formBody(credentialFields("alice")...)}},
		"a login for a pair":        {"POST", "/auth/login", []requestOption{formBody(credentialFields("alice")...)}},
		"a grant":                   {"POST", "/oauth2/token", []requestOption{formBody(passwordGrant("alice")...)}},
		"a refresh":                 {"POST", "/auth/refresh", []requestOption{formBody("refresh_token", refresh)}},
		"a refresh as a grant":      {"POST", "/oauth2/token", []requestOption{formBody("grant_type", "refresh_token", "refresh_token", refresh)}},
		"a session token":           {"GET", sessionPath + "5", []requestOption{basic("alice")}},
		"an open token":             {"GET", openPath + "5", []requestOption{basic("alice")}},
		"another account":           {"POST", "/auth/masquerade", []requestOption{bearer(tok), formBody("account_id", "2002")}},
		"a logout":                  {"POST", "/auth/logout", []requestOption{bearer(tok)}},
		"a logout of a session":     {"GET", logoutPath, []requestOption{bearer(session), cookies("SESSION=" + id)}},
		"a revocation":              {"POST", "/oauth2/revoke", []requestOption{formBody("token", tok)}},
		"a revocation by a refresh": {"POST", "/oauth2/revoke", []requestOption{formBody("token", refresh)}},
		"a list":                    {"GET", ofAcme, []requestOption{bearer(tok)}},
		"a list of a user":          {"GET", ofUser, []requestOption{bearer(tok)}},
		"a new token":               {"PUT", ofAcme + "/new", []requestOption{bearer(tok)}},
		"one that is asked for":     {"GET", ofAcme + "/appdeveloper", []requestOption{bearer(tok)}},
		"one that is not there":     {"GET", ofAcme + "/none", []requestOption{bearer(tok)}},
		"a change":                  {"PATCH", ofAcme + "/appdeveloper", []requestOption{bearer(tok), jsonBody(`{"state":"Suspended"}`)}},
		"a clone":                   {"POST", ofAcme + "/appdeveloper/clone", []requestOption{bearer(tok), jsonBody(`{"name":"copy"}`)}},
		"a rotation":                {"POST", ofAcme + "/appdeveloper/rotate", []requestOption{bearer(tok)}},
		"a rotation by name":        {"POST", ofAcme + "/appdeveloper/rotate", []requestOption{basic("alice")}},
		"a rotation by the holder":  {"POST", "/application-tokens/v1/rotate", []requestOption{bearer(app)}},
		"a rotation by a user's":    {"POST", ofUser + "/own/rotate", []requestOption{bearer(own)}},
		"an end":                    {"DELETE", ofAcme + "/appdeveloper", []requestOption{bearer(tok)}},
		"an unknown token":          {"GET", ofAcme, []requestOption{bearer(h.unknownToken())}},
		"the logout of one":         {"POST", "/auth/logout", []requestOption{bearer(h.unknownToken())}},
		"another account for one":   {"POST", "/auth/masquerade", []requestOption{bearer(h.unknownToken()), formBody("account_id", "2002")}},
	} {
		got := h.call(x.method, x.path, x.parts...)
		if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") != "5" || h.read(got)["error"] != "temporarily_unavailable" || len(got.header.Values("Set-Cookie")) > 0 {
			t.Errorf("%s: %d %v %s", name, got.status, got.header, got.body)
		}
		if strings.HasPrefix(x.path, "/auth/") && h.read(got)["success"] != false {
			t.Errorf("%s: %s", name, got.body)
		}
	}
	for name, good := range map[string]bool{"a login": h.isValid(tok), "a session": h.isValid(session, cookies("SESSION="+id)), "a program": h.isValid(app), "a user's": h.isValid(own)} {
		if !good {
			t.Errorf("%s is not good any more", name)
		}
	}
	if h.store.writeCounts() != before {
		t.Error("something was written")
	}
	for line := range strings.Lines(strings.TrimPrefix(h.audit.text(), said)) {
		for _, claim := range []string{`"login.succeeded"`, `"login.ended"`, `"login.refreshed"`, `"token.revoked"`, `"token.created"`, `"token.changed"`, `"token.cloned"`, `"token.rotated"`} {
			if strings.Contains(line, claim) {
				t.Errorf("the audit log claims %s", line)
			}
		}
	}
	if count := h.results.count("Unavailable"); count < 5 || h.results.count("Refused") > 0 {
		t.Errorf("%d logins could not be, by the metrics: %v", count, h.results.all)
	}
	h.store.failWith(nil)
	if got := h.call(http.MethodPost, "/auth/refresh", formBody("refresh_token", refresh)); got.status != http.StatusOK {
		t.Errorf("afterwards a refresh is %d %s", got.status, got.body)
	}
	h.checkNoSecretInAudit()
}

// Before the first contact with the API server, users cannot be authenticated either.
func TestOutage_NoLoginBeforeFirstContact(t *testing.T) {
	h := newLoginFixture(t)
	h.Verifier = staleVerifier(h)
	h.serve(httptest.NewServer)
	for path, parts := range map[string][]requestOption{
		"POST /auth/login": {formBody(credentialFields("alice")...)}, "POST /auth/refresh": {formBody("refresh_token", "x")}, "POST /oauth2/token": {formBody(passwordGrant("alice")...)},
		"GET " + sessionPath + "5": {basic("alice")}, "GET " + ofAcme: {basic("alice")}, "GET " + ofUser: {bearer(h.unknownToken())}, "POST " + formLogin: {basic("alice")},
	} {
		method, path, _ := strings.Cut(path, " ")
		if got := h.call(method, path, parts...); got.status != 503 || got.header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %v %s", path, got.status, got.header, got.body)
		}
	}
	// Refreshes and requests with a token are no logins.
	want := []string{"funnelback Unavailable", "management Unavailable", "oauth Unavailable", "spectrum Unavailable", "teletracker Unavailable"}
	if got := slices.Sorted(slices.Values(h.results.all)); !slices.Equal(got, want) {
		t.Errorf("the metrics have the results %v, want %v", got, want)
	}
}

func TestLoginLimits_RepeatedFailureIsLimited(t *testing.T) {
	h := newLoginServer(t)
	wrong := "Basic " + basicCredentials("dave", "wrong "+marker)
	for range 10 {
		if got := h.call(http.MethodPost, "/auth/login", header("Authorization", wrong)); got.status != 401 {
			t.Fatalf("%d %s", got.status, got.body)
		}
	}
	for call, parts := range map[string][]requestOption{
		"POST /auth/login": {formBody(credentialFields("dave")...)}, "POST " + formLogin: {formBody(credentialFields("dave")...)}, "POST /oauth2/token": {formBody(passwordGrant("dave")...)},
		"GET " + sessionPath + "5": {basic("dave")}, "GET " + openPath + "5": {basic("dave")}, "GET " + ofAcme: {basic("dave")}, "PUT " + ofUser + "/x": {basic("dave")},
	} {
		method, path, _ := strings.Cut(call, " ")
		got := h.call(method, path, append(parts, withForwardedFor("203.0.113.9"))...)
		if after, err := strconv.Atoi(got.header.Get("Retry-After")); got.status != 429 || err != nil || after < 1 || after > 6 {
			t.Errorf("%s: %d %v %s", call, got.status, got.header, got.body)
		}
	}
	if got := h.call(http.MethodPost, "/auth/login", formBody(credentialFields("erin")...)); got.status != http.StatusOK {
		t.Errorf("another name: %d %s", got.status, got.body)
	}
	h.clock.advance(6 * time.Second)
	if got := h.call(http.MethodPost, "/auth/login", formBody(credentialFields("dave")...)); got.status != http.StatusOK {
		t.Errorf("a while later: %d %s", got.status, got.body)
	}
	for i := range 60 {
		h.call(http.MethodPost, "/auth/login", formBody("username", "nobody"+strconv.Itoa(i), "password", "x"), withForwardedFor("198.51.100.1"))
	}
	if got := h.call(http.MethodPost, "/auth/login", formBody(credentialFields("alice")...), withForwardedFor("198.51.100.1")); got.status != 429 {
		t.Errorf("an address: %d %s", got.status, got.body)
	}
	h.checkNoSecretInAudit()
}

func TestPanic_FailsOneLogin(t *testing.T) {
	h := newLoginFixture(t)
	var broken atomic.Bool
	h.Endpoints.Now = func() time.Time {
		if broken.CompareAndSwap(true, false) {
			panic("something unforeseen, " + marker)
		}
		return h.clock.current()
	}
	h.OnLoginResult = func(string, string) {
		if broken.CompareAndSwap(true, false) {
			panic("something unforeseen, " + marker)
		}
	}
	l, _, _ := listen(t, h.Handler(), h.audit.logger())
	h.url = "http://" + l.Addr().String()
	tok := h.login("alice")
	for name, x := range map[string]func() httpResponse{
		"a login": func() httpResponse {
			return h.send(http.MethodPost, "/auth/login", formBody(credentialFields("alice")...))
		},
		"a session": func() httpResponse { return h.send(http.MethodGet, sessionPath+"5", basic("alice")) },
		"a list":    func() httpResponse { return h.send(http.MethodGet, ofAcme, bearer(tok)) },
	} {
		broken.Store(true)
		if got := x(); got.status != 500 || strings.Contains(got.body, "unforeseen") || h.read(got)["error"] != "server_error" {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
		if got := x(); got.status != 200 {
			t.Errorf("%s, once more: %d %s", name, got.status, got.body)
		}
	}
}
