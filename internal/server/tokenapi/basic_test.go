package tokenapi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/testing/servertest"
)

// asBasic authenticates by a name and a password.
func asBasic(name, text string) servertest.RequestOption {
	return servertest.Header("Authorization", "Basic "+servertest.BasicCredentials(name, text))
}

// The response to a new token has a user name and a password. They are accepted wherever the token
// is, if the client allows that.
func TestBasic_UsernameAndPasswordOfNewToken(t *testing.T) {
	h := servertest.NewLoginServer(t)
	admin := servertest.Bearer(h.Login("alice"))
	for name, call := range map[string]struct {
		method, path, username string
		parts                  []servertest.RequestOption
	}{
		"of a client": {http.MethodPut, servertest.PathAcmeTokens + "/CI_1~x", "acme~CI_1~x", []servertest.RequestOption{servertest.JSONBody(`{"roles":["developer"]}`)}},
		"of a user":   {http.MethodPut, servertest.PathUserTokens + "/laptop", "acme~laptop", nil},
	} {
		h.AllowBasic("acme", true)
		got := h.Call(call.method, call.path, append(call.parts, admin)...)
		tok := h.TokenIn(got, "data")
		issued := h.Members(got)
		if issued["username"] != call.username || issued["password"] != tok {
			t.Fatalf("%s: %d %v", name, got.Status, issued["username"])
		}
		by := asBasic(call.username, tok)
		for what, path := range map[string]string{"/verify": "/verify?permission=sec.application-token.read&client=acme", "a list": servertest.PathAcmeTokens} {
			if got := h.Call(http.MethodGet, path, by); got.Status != http.StatusOK {
				t.Errorf("%s, %s: %d %s", name, what, got.Status, got.Body)
			}
			if got := h.Call(http.MethodGet, path, asBasic("acme~other", tok)); got.Status != http.StatusUnauthorized {
				t.Errorf("%s, %s, by another name: %d %s", name, what, got.Status, got.Body)
			}
			h.AllowBasic("acme", false)
			h.AllowBasic("umbrella", true) // another client does not decide
			if got := h.Call(http.MethodGet, path, by); got.Status != http.StatusUnauthorized || !strings.HasPrefix(got.Header.Get("Www-Authenticate"), "Basic ") {
				t.Errorf("%s, %s, of a client that forbids it: %d %s", name, what, got.Status, got.Body)
			}
			h.AllowBasic("acme", true)
		}
		if got := h.Call(http.MethodGet, call.path, admin); strings.Contains(got.Body, tok) || strings.Contains(got.Body, "password") {
			t.Errorf("%s: it is shown again: %s", name, got.Body)
		}
		rotated := h.Call(http.MethodPost, "/application-tokens/v1/rotate", by)
		if next := h.TokenIn(rotated, "data"); h.Members(rotated)["password"] != next || h.Call(http.MethodGet, "/verify", asBasic(call.username, next)).Status != http.StatusOK {
			t.Errorf("%s: %d %s", name, rotated.Status, rotated.Body)
		}
	}
	h.CheckNoSecretInAudit()
}

// No right to make a token comes from a check of the password that is over. [row 11]
func TestBasic_ChangeNeedsCheckOfItsOwn(t *testing.T) {
	h := servertest.NewLoginServer(t)
	by := servertest.Basic("alice")
	if got := h.Call(http.MethodGet, servertest.PathAcmeTokens, by); got.Status != http.StatusOK {
		t.Fatalf("%d %s", got.Status, got.Body)
	}
	// Beyond the limit of successes, no check of this name runs.
	for h.Call(http.MethodPost, "/auth/login", servertest.FormBody(servertest.AppendFields(servertest.CredentialFields("alice"), "auth_only", "1")...)).Status == http.StatusOK {
	}
	for call, status := range map[string]int{
		"GET " + servertest.PathAcmeTokens: http.StatusOK, "PUT " + servertest.PathAcmeTokens + "/x": http.StatusTooManyRequests,
		"POST " + servertest.PathAcmeTokens + "/x/rotate": http.StatusTooManyRequests, "DELETE " + servertest.PathUserTokens + "/x": http.StatusTooManyRequests,
		"GET " + servertest.PathOpenToken + "5": http.StatusTooManyRequests,
	} {
		method, path, _ := strings.Cut(call, " ")
		if got := h.Call(method, path, by); got.Status != status {
			t.Errorf("%s: %d %s, want %d", call, got.Status, got.Body, status)
		}
	}
	h.CheckNoSecretInAudit()
}

// A cookie never authorizes a request that a page of another site makes.
func TestRememberMe_CookieMakesNoChangeForOtherSites(t *testing.T) {
	h := servertest.NewLoginServer(t)
	cookie := servertest.Cookies(servertest.RememberMeCookie + h.Login("alice"))
	for name, page := range map[string]servertest.RequestOption{
		"another site":           servertest.Header("Sec-Fetch-Site", "cross-site"),
		"another host":           servertest.Header("Sec-Fetch-Site", "same-site"),
		"an older browser":       servertest.Header("Origin", "https://evil.example"),
		"a page of nowhere":      servertest.Header("Origin", "null"),
		"an older browser, link": servertest.Header("Referer", "https://evil.example/x"),
	} {
		for _, call := range []string{"PUT " + servertest.PathAcmeTokens + "/x", "POST " + servertest.PathAcmeTokens + "/x/rotate", "DELETE " + servertest.PathUserTokens + "/x", "GET " + servertest.PathAcmeTokens} {
			method, path, _ := strings.Cut(call, " ")
			if got := h.Call(method, path, cookie, page); got.Status != http.StatusUnauthorized && got.Status != http.StatusForbidden {
				t.Errorf("%s, %s: %d %s", name, call, got.Status, got.Body)
			}
		}
	}
	if len(h.TokenService.Tokens) != 0 {
		t.Errorf("%d tokens were made", len(h.TokenService.Tokens))
	}
	if got := h.Call(http.MethodPut, servertest.PathAcmeTokens+"/mine", cookie); got.Status != http.StatusOK {
		t.Errorf("a program: %d %s", got.Status, got.Body)
	}
}
