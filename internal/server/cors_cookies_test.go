package server_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/testing/servertest"
)

func TestCORS_CookieIsForOtherSitesOnlyIfAllowed(t *testing.T) {
	for name, start := range map[string]func(http.Handler) *httptest.Server{"over TLS": httptest.NewTLSServer, "in the clear": httptest.NewServer} {
		h := servertest.NewCORSServer(t, start, allowedOrigin)
		lax := "; Path=/; HttpOnly; SameSite=Lax"
		if name == "over TLS" {
			lax = "; Path=/; HttpOnly; Secure; SameSite=Lax"
		}
		for what, x := range map[string]struct {
			part servertest.RequestOption
			want string
		}{
			"a program":                             {servertest.Header("X-Nothing", ""), lax},
			"a page of the operator":                {servertest.Combined(servertest.Header("Sec-Fetch-Site", "same-origin"), fromPage(h.URL)), lax},
			"an allowed page":                       {fromPage(allowedOrigin), "; Path=/; HttpOnly; Secure; SameSite=None; Partitioned"},
			"an allowed page of another site":       {servertest.Combined(servertest.Header("Sec-Fetch-Site", "cross-site"), fromPage(allowedOrigin)), "; Path=/; HttpOnly; Secure; SameSite=None; Partitioned"},
			"an allowed page of the operator's own": {servertest.Combined(servertest.Header("Sec-Fetch-Site", "same-site"), fromPage(allowedOrigin)), lax},
		} {
			got := h.Call(http.MethodGet, servertest.PathSessionToken+"5", servertest.Basic("alice"), x.part)
			cookie := got.Header.Get("Set-Cookie")
			id, _ := h.Members(got)["session"].(string)
			if cookie != "SESSION="+id+x.want {
				t.Errorf("%s, %s: %s", name, what, cookie)
			}
			tok := h.TokenIn(got, "access_token")
			end := h.Call(http.MethodGet, servertest.PathSpectrumLogout, servertest.Bearer(tok), servertest.Cookies("SESSION="+id), x.part)
			if cookie := end.Header.Get("Set-Cookie"); end.Status != http.StatusOK || cookie != strings.Replace("SESSION="+x.want, "Path=/;", "Path=/; Max-Age=0;", 1) {
				t.Errorf("%s, %s, at its end: %d %s", name, what, end.Status, cookie)
			}
		}
	}
}

// An allowed page uses the cookie of a session beside the token that it presents. A browser sends
// cookies with any request, so a token in a cookie changes nothing for a page of another origin.
func TestCORS_CookieOfAllowedPageEndsNothing(t *testing.T) {
	h := newCORSServer(t)
	tok, id := h.SpectrumSession("60")
	app := h.AppToken("reader")
	page, session := fromPage(allowedOrigin), servertest.Cookies("SESSION="+id)
	if got := h.Call(http.MethodGet, servertest.PathAcmeTokens, page, servertest.Bearer(tok), session); got.Status != http.StatusOK {
		t.Errorf("a list, by the token and the session: %d %s", got.Status, got.Body)
	}
	if got := h.Call(http.MethodGet, servertest.PathAcmeTokens, page, servertest.Bearer(tok)); got.Status != http.StatusUnauthorized {
		t.Errorf("a list, without the session: %d %s", got.Status, got.Body)
	}
	for path, method := range map[string]string{servertest.PathSpectrumLogout: http.MethodGet, "/auth/logout": http.MethodPost} {
		for what, part := range map[string]servertest.RequestOption{
			"a cookie":                  servertest.Cookies(servertest.CredentialCookie+tok, "SESSION="+id),
			"a cookie, beside a header": servertest.Combined(servertest.Bearer(app), servertest.Cookies(servertest.CredentialCookie+tok, "SESSION="+id)),
		} {
			got := h.Call(method, path, page, part)
			if got.Status != http.StatusForbidden || !strings.Contains(got.Body, "cookie") || !h.IsValid(tok, session) {
				t.Errorf("%s, %s: %d %s", path, what, got.Status, got.Body)
			}
		}
	}
	if got := h.Call(http.MethodGet, servertest.PathSpectrumLogout, page, servertest.Bearer(tok), session); got.Status != http.StatusOK || h.IsValid(tok, session) {
		t.Errorf("the end, by the token: %d %s", got.Status, got.Body)
	}
	h.CheckNoSecretInAudit()
}
