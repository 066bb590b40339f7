package server_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/management"
	"github.com/apptoken/operator/internal/testing/servertest"
)

// [row 12]
func TestOutage_NothingIsClaimedAndTokensStayValid(t *testing.T) {
	h := servertest.NewLoginServer(t)
	first := h.Call(http.MethodPost, "/auth/login", servertest.FormBody(servertest.CredentialFields("alice")...))
	tok, refresh := h.TokenIn(first, "token"), h.TokenIn(first, "refreshToken")
	session, id := h.SpectrumSession("60")
	app := h.AppToken("developer")
	own := h.CreateToken(management.Scope{Client: "acme", User: "alice"}, management.TokenSpec{Name: "own"})
	said := h.AuditLog.Text()
	before := h.Store.WriteCounts()
	h.Store.FailWith(errors.New("the API server is away"))
	for name, x := range map[string]struct {
		method, path string
		parts        []servertest.RequestOption
	}{
		"a login by form":           {"POST", servertest.PathFormLogin, []servertest.RequestOption{servertest.FormBody(servertest.CredentialFields("alice")...)}},
		"a login for a pair":        {"POST", "/auth/login", []servertest.RequestOption{servertest.FormBody(servertest.CredentialFields("alice")...)}},
		"a grant":                   {"POST", "/oauth2/token", []servertest.RequestOption{servertest.FormBody(servertest.PasswordGrant("alice")...)}},
		"a refresh":                 {"POST", "/auth/refresh", []servertest.RequestOption{servertest.FormBody("refresh_token", refresh)}},
		"a refresh as a grant":      {"POST", "/oauth2/token", []servertest.RequestOption{servertest.FormBody("grant_type", "refresh_token", "refresh_token", refresh)}},
		"a session token":           {"GET", servertest.PathSessionToken + "5", []servertest.RequestOption{servertest.Basic("alice")}},
		"an open token":             {"GET", servertest.PathOpenToken + "5", []servertest.RequestOption{servertest.Basic("alice")}},
		"another account":           {"POST", "/auth/masquerade", []servertest.RequestOption{servertest.Bearer(tok), servertest.FormBody("account_id", "2002")}},
		"a logout":                  {"POST", "/auth/logout", []servertest.RequestOption{servertest.Bearer(tok)}},
		"a logout of a session":     {"GET", servertest.PathSpectrumLogout, []servertest.RequestOption{servertest.Bearer(session), servertest.Cookies("SESSION=" + id)}},
		"a revocation":              {"POST", "/oauth2/revoke", []servertest.RequestOption{servertest.FormBody("token", tok)}},
		"a revocation by a refresh": {"POST", "/oauth2/revoke", []servertest.RequestOption{servertest.FormBody("token", refresh)}},
		"a list":                    {"GET", servertest.PathAcmeTokens, []servertest.RequestOption{servertest.Bearer(tok)}},
		"a list of a user":          {"GET", servertest.PathUserTokens, []servertest.RequestOption{servertest.Bearer(tok)}},
		"a new token":               {"PUT", servertest.PathAcmeTokens + "/new", []servertest.RequestOption{servertest.Bearer(tok)}},
		"one that is asked for":     {"GET", servertest.PathAcmeTokens + "/appdeveloper", []servertest.RequestOption{servertest.Bearer(tok)}},
		"one that is not there":     {"GET", servertest.PathAcmeTokens + "/none", []servertest.RequestOption{servertest.Bearer(tok)}},
		"a change":                  {"PATCH", servertest.PathAcmeTokens + "/appdeveloper", []servertest.RequestOption{servertest.Bearer(tok), servertest.JSONBody(`{"state":"Suspended"}`)}},
		"a clone":                   {"POST", servertest.PathAcmeTokens + "/appdeveloper/clone", []servertest.RequestOption{servertest.Bearer(tok), servertest.JSONBody(`{"name":"copy"}`)}},
		"a rotation":                {"POST", servertest.PathAcmeTokens + "/appdeveloper/rotate", []servertest.RequestOption{servertest.Bearer(tok)}},
		"a rotation by name":        {"POST", servertest.PathAcmeTokens + "/appdeveloper/rotate", []servertest.RequestOption{servertest.Basic("alice")}},
		"a rotation by the holder":  {"POST", "/application-tokens/v1/rotate", []servertest.RequestOption{servertest.Bearer(app)}},
		"a rotation by a user's":    {"POST", servertest.PathUserTokens + "/own/rotate", []servertest.RequestOption{servertest.Bearer(own)}},
		"an end":                    {"DELETE", servertest.PathAcmeTokens + "/appdeveloper", []servertest.RequestOption{servertest.Bearer(tok)}},
		"an unknown token":          {"GET", servertest.PathAcmeTokens, []servertest.RequestOption{servertest.Bearer(h.UnknownToken())}},
		"the logout of one":         {"POST", "/auth/logout", []servertest.RequestOption{servertest.Bearer(h.UnknownToken())}},
		"another account for one":   {"POST", "/auth/masquerade", []servertest.RequestOption{servertest.Bearer(h.UnknownToken()), servertest.FormBody("account_id", "2002")}},
	} {
		got := h.Call(x.method, x.path, x.parts...)
		if got.Status != http.StatusServiceUnavailable || got.Header.Get("Retry-After") != "5" || h.Members(got)["error"] != "temporarily_unavailable" || len(got.Header.Values("Set-Cookie")) > 0 {
			t.Errorf("%s: %d %v %s", name, got.Status, got.Header, got.Body)
		}
		if strings.HasPrefix(x.path, "/auth/") && h.Members(got)["success"] != false {
			t.Errorf("%s: %s", name, got.Body)
		}
	}
	for name, good := range map[string]bool{"a login": h.IsValid(tok), "a session": h.IsValid(session, servertest.Cookies("SESSION="+id)), "a program": h.IsValid(app), "a user's": h.IsValid(own)} {
		if !good {
			t.Errorf("%s is not good any more", name)
		}
	}
	if h.Store.WriteCounts() != before {
		t.Error("something was written")
	}
	for line := range strings.Lines(strings.TrimPrefix(h.AuditLog.Text(), said)) {
		for _, claim := range []string{`"login.succeeded"`, `"login.ended"`, `"login.refreshed"`, `"token.revoked"`, `"token.created"`, `"token.changed"`, `"token.cloned"`, `"token.rotated"`} {
			if strings.Contains(line, claim) {
				t.Errorf("the audit log claims %s", line)
			}
		}
	}
	if count := h.LoginResults.Count("Unavailable"); count < 5 || h.LoginResults.Count("Refused") > 0 {
		t.Errorf("%d logins could not be, by the metrics: %v", count, h.LoginResults.All)
	}
	h.Store.FailWith(nil)
	if got := h.Call(http.MethodPost, "/auth/refresh", servertest.FormBody("refresh_token", refresh)); got.Status != http.StatusOK {
		t.Errorf("afterwards a refresh is %d %s", got.Status, got.Body)
	}
	h.CheckNoSecretInAudit()
}

// Before the first contact with the API server, users cannot be authenticated either.
func TestOutage_NoLoginBeforeFirstContact(t *testing.T) {
	h := servertest.NewUnstartedLoginServer(t)
	h.Verifier = h.StaleVerifier()
	h.Serve(httptest.NewServer)
	for path, parts := range map[string][]servertest.RequestOption{
		"POST /auth/login": {servertest.FormBody(servertest.CredentialFields("alice")...)}, "POST /auth/refresh": {servertest.FormBody("refresh_token", "x")}, "POST /oauth2/token": {servertest.FormBody(servertest.PasswordGrant("alice")...)},
		"GET " + servertest.PathSessionToken + "5": {servertest.Basic("alice")}, "GET " + servertest.PathAcmeTokens: {servertest.Basic("alice")}, "GET " + servertest.PathUserTokens: {servertest.Bearer(h.UnknownToken())}, "POST " + servertest.PathFormLogin: {servertest.Basic("alice")},
	} {
		method, path, _ := strings.Cut(path, " ")
		if got := h.Call(method, path, parts...); got.Status != 503 || got.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %v %s", path, got.Status, got.Header, got.Body)
		}
	}
	// Refreshes and requests with a token are no logins.
	want := []string{"funnelback Unavailable", "management Unavailable", "oauth Unavailable", "spectrum Unavailable", "teletracker Unavailable"}
	if got := slices.Sorted(slices.Values(h.LoginResults.All)); !slices.Equal(got, want) {
		t.Errorf("the metrics have the results %v, want %v", got, want)
	}
}
