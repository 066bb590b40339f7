package server_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/audit"
	"github.com/apptoken/operator/internal/testing/servertest"
)

// refusedPages holds what a browser sends for pages that are not allowed, with the audit verdict.
var refusedPages = map[string]struct {
	part    servertest.RequestOption
	verdict string
}{
	"another origin":                        {fromPage(refusedOrigin), "OriginNotListed"},
	"another scheme":                        {fromPage("http://app.example.com"), "OriginNotListed"},
	"another port":                          {fromPage("https://app.example.com:8443"), "OriginNotListed"},
	"upper case":                            {fromPage("https://App.example.com"), "OriginNotListed"},
	"a suffix":                              {fromPage("https://app.example.com.evil.example"), "OriginNotListed"},
	"a prefix":                              {fromPage("https://evil-app.example.com"), "OriginNotListed"},
	"the parent of a wildcard":              {fromPage("https://example.org"), "OriginNotListed"},
	"a name like the parent of a wildcard":  {fromPage("https://evil-example.org"), "OriginNotListed"},
	"two labels for a wildcard":             {fromPage("https://a.b.example.org"), "OriginNotListed"},
	"a list":                                {fromPage(allowedOrigin + ", " + allowedOrigin), "OriginNotListed"},
	"a huge one":                            {fromPage("https://" + strings.Repeat("a.", 20<<10) + "example.org"), "OriginNotListed"},
	"nothing":                               {fromPage(""), "OriginNotListed"},
	"no origin of its own":                  {fromPage("null"), "OriginNull"},
	"two origins":                           {servertest.Header("Origin", allowedOrigin, refusedOrigin), "OriginAmbiguous"},
	"one origin twice":                      {servertest.Header("Origin", allowedOrigin, allowedOrigin), "OriginAmbiguous"},
	"another site, by a link":               {servertest.Header("Sec-Fetch-Site", "cross-site"), "OriginMissing"},
	"another host of the site, by an image": {servertest.Header("Sec-Fetch-Site", "same-site"), "OriginMissing"},
	"an allowed one, by a link":             {servertest.Header("Referer", allowedOrigin+"/"), "OriginMissing"},
	"another site, that names this one":     {servertest.Combined(servertest.Header("Sec-Fetch-Site", "cross-site"), func(r *http.Request) { r.Header.Set("Origin", "http://"+r.URL.Host) }), "OriginNotListed"},
}

// The response has the cause, and is not the one to a wrong password: no password is checked,
// nothing is issued, and no attempt is counted.
func TestCORS_OtherPagesAreRefusedWithCause(t *testing.T) {
	for name, x := range refusedPages {
		h := newCORSServer(t)
		tok := h.Login("alice")
		refresh := h.TokenIn(h.Call(http.MethodPost, "/auth/login", servertest.FormBody(servertest.CredentialFields("dave")...)), "refreshToken")
		before, logins := h.Store.WriteCounts(), len(h.LoginResults.All)
		h.AuditLog.Reset()
		for what, call := range map[string]struct {
			method, path string
			part         servertest.RequestOption
			keys         string
		}{
			"Basic":                 {"GET", servertest.PathSessionToken + "5", servertest.Basic("dave"), "error error_description"},
			"Basic, wrong":          {"GET", servertest.PathOpenToken + "5", servertest.Header("Authorization", "Basic "+servertest.BasicCredentials("dave", "x")), "error error_description"},
			"a form":                {"POST", servertest.PathFormLogin, servertest.FormBody(servertest.CredentialFields("dave")...), "data error errorMessage error_description"},
			"TeleTracker":           {"POST", "/auth/login", servertest.FormBody(servertest.CredentialFields("dave")...), "error error_description success"},
			"SOAP":                  {"POST", "/security/TokenManagerService", servertest.Basic("dave"), "error error_description"},
			"SOAP, a logout":        {"POST", "/security/TokenLogoutService", servertest.Bearer(tok), "error error_description"},
			"a refresh":             {"POST", "/auth/refresh", servertest.FormBody("refresh_token", refresh), "error error_description success"},
			"OAuth":                 {"POST", "/oauth2/token", servertest.FormBody(servertest.PasswordGrant("dave")...), "error error_description"},
			"a list":                {"GET", servertest.PathUserTokens, servertest.Basic("alice"), "data error errorMessage error_description"},
			"a token in a header":   {"PUT", servertest.PathAcmeTokens + "/new", servertest.Bearer(tok), "data error errorMessage error_description"},
			"a logout":              {"GET", servertest.PathSpectrumLogout, servertest.Bearer(tok), "error error_description"},
			"a logout by a cookie":  {"GET", servertest.PathSpectrumLogout, servertest.Cookies(servertest.CredentialCookie + tok), "error error_description"},
			"a logout, TeleTracker": {"POST", "/auth/logout", servertest.Cookies(servertest.CredentialCookie + tok), "error error_description success"},
			"a revocation":          {"POST", "/oauth2/revoke", servertest.FormBody("token", tok), "error error_description"},
			"a rotation":            {"POST", "/application-tokens/v1/rotate", servertest.Bearer(tok), "data error errorMessage error_description"},
		} {
			got := h.Call(call.method, call.path, call.part, x.part)
			if got.Status != http.StatusForbidden || h.Keys(got) != call.keys || h.Members(got)["error"] != "origin_not_allowed" || strings.Contains(got.Body, "evil") || len(got.Body) > 2<<10 {
				t.Errorf("%s, %s: %d %s", name, what, got.Status, got.Body)
			}
			if len(headersFor(got.Header)) > 0 || len(got.Header["Set-Cookie"]) > 0 || len(got.Header["Www-Authenticate"]) > 0 || got.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s, %s: %v", name, what, got.Header)
			}
		}
		if h.Store.WriteCounts() != before || len(h.LoginResults.All) != logins || !h.IsValid(tok) {
			t.Errorf("%s: something was written, or counted as a login", name)
		}
		events := h.AuditLog.Events(t, audit.OriginRefused)
		if len(events) == 0 || len(h.AuditLog.Events(t, audit.LoginFailed)) > 0 {
			t.Errorf("%s: %s", name, h.AuditLog.Text())
		}
		for _, e := range events {
			if e["verdict"] != x.verdict || e["source"] != "192.0.2.7" {
				t.Errorf("%s: %v", name, e)
			}
		}
		if text := h.AuditLog.Text(); strings.Contains(text, "evil") || strings.Contains(text, "example.") {
			t.Errorf("%s: the audit log has the origin: %s", name, text)
		}
		h.CheckNoSecretInAudit()
	}
}

// A page that floods the operator must not lock out its visitors.
func TestCORS_RefusedPageDoesNotUseUpLimits(t *testing.T) {
	h := newCORSServer(t)
	for range 200 {
		h.Send(http.MethodPost, "/auth/login", servertest.FormBody("username", "dave", "password", "x"), fromPage(refusedOrigin))
	}
	if got := h.Call(http.MethodPost, "/auth/login", servertest.FormBody(servertest.CredentialFields("dave")...)); got.Status != http.StatusOK {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	if n := len(h.AuditLog.Events(t, audit.OriginRefused)); n == 0 || n > 20 {
		t.Errorf("the audit log has %d lines", n)
	}
}

func TestCORS_NothingIsAllowedByDefault(t *testing.T) {
	h := servertest.NewLoginServer(t)
	for _, part := range []servertest.RequestOption{fromPage(allowedOrigin), asPreflight(allowedOrigin), servertest.Header("X-Nothing", "")} {
		for _, method := range []string{http.MethodPost, http.MethodOptions} {
			if got := h.Send(method, "/auth/login", part); len(headersFor(got.Header)) > 0 || got.Header.Get("Vary") != "" || got.Status == http.StatusNoContent {
				t.Errorf("%s: %d %v", method, got.Status, got.Header)
			}
		}
	}
}

// Callers that are no pages get the same responses, whatever origins are allowed.
func TestCORS_ProgramsGetSameResponses(t *testing.T) {
	with, without := newCORSServer(t), servertest.NewLoginServer(t)
	for _, path := range []string{"/auth/login", servertest.PathSessionToken + "5", servertest.PathAcmeTokens, "/nothing", "/verify", "/verify/-", "/openapi.json", "/ui/"} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodOptions} {
			got, want := with.Send(method, path), without.Send(method, path)
			vary := got.Header.Get("Vary")
			got.Header.Del("Vary")
			got.Header.Del("Date")
			want.Header.Del("Date")
			if got.Status != want.Status || got.Body != want.Body || len(got.Header) != len(want.Header) {
				t.Errorf("%s %s: %d %v, want %d %v", method, path, got.Status, got.Header, want.Status, want.Header)
			}
			isFixed := strings.HasPrefix(path, "/verify") || path == "/openapi.json" || path == "/ui/"
			if (vary == "Origin") == isFixed {
				t.Errorf("%s %s: Vary: %s", method, path, vary)
			}
		}
	}
}

// The page /ui/ and its document are for pages of the operator's own origin. At /verify, the origin
// belongs to a request to another system.
func TestCORS_OtherPathsHaveNoHeaders(t *testing.T) {
	h := newCORSServer(t)
	tok := h.AppToken("reader")
	for _, path := range []string{"/verify", "/verify/-", "/openapi.json", "/ui/"} {
		for _, origin := range []string{allowedOrigin, refusedOrigin} {
			got := h.Send(http.MethodGet, path, fromPage(origin), servertest.Bearer(tok))
			if len(headersFor(got.Header)) > 0 || got.Status != http.StatusOK {
				t.Errorf("%s, %s: %d %v", path, origin, got.Status, got.Header)
			}
		}
	}
}

// Documents hold nothing of a caller. A link to them may be on any page.
func TestCORS_PublicDocumentsAreServedToLinks(t *testing.T) {
	h := newCORSServer(t)
	for _, path := range []string{"/.well-known/oauth-authorization-server", "/security/rest?_wadl"} {
		for _, part := range []servertest.RequestOption{servertest.Header("Sec-Fetch-Site", "cross-site"), servertest.Header("Referer", refusedOrigin+"/"), fromPage(refusedOrigin)} {
			if got := h.Call(http.MethodGet, path, part); got.Status != http.StatusOK || len(headersFor(got.Header)) > 0 {
				t.Errorf("%s: %d %v", path, got.Status, got.Header)
			}
			if got := h.Send(http.MethodPost, path, part); got.Status != http.StatusForbidden {
				t.Errorf("POST %s: %d", path, got.Status)
			}
		}
	}
}

// A gateway may change the host of a request. Then the operator knows its own origin by --issuer.
func TestCORS_PageOfIssuerIsOwn(t *testing.T) {
	h := servertest.NewUnstartedLoginServer(t)
	h.Issuer = "https://tokens.example.com/some/path"
	h.Serve(httptest.NewServer)
	for origin, want := range map[string]int{"https://tokens.example.com": 200, "http://tokens.example.com": 403, "https://tokens.example.com:8443": 403, "https://some": 403, "": 403} {
		for _, name := range []string{"Origin", "Referer"} {
			if got := h.Call(http.MethodGet, servertest.PathUserTokens, servertest.Basic("alice"), servertest.Header(name, origin)); got.Status != want {
				t.Errorf("%s: %s: %d %s", name, origin, got.Status, got.Body)
			}
		}
	}
	if got := h.Call(http.MethodGet, servertest.PathUserTokens, servertest.Basic("alice"), fromPage("https://tokens.example.com"), servertest.Header("Sec-Fetch-Site", "cross-site")); got.Status != 403 {
		t.Errorf("under another name of the operator: %d", got.Status)
	}
}

// An attacker on the network can change a page without TLS, also one of the operator's own host.
func TestCORS_PageWithoutTLSIsNotOwn(t *testing.T) {
	h := servertest.NewUnstartedLoginServer(t)
	h.Serve(httptest.NewTLSServer)
	for scheme, want := range map[string]int{"https": 200, "http": 403} {
		if got := h.Call(http.MethodGet, servertest.PathUserTokens, servertest.Basic("alice"), func(r *http.Request) { r.Header.Set("Origin", scheme+"://"+r.URL.Host) }); got.Status != want {
			t.Errorf("%s: %d %s", scheme, got.Status, got.Body)
		}
	}
}

// A request without an Origin costs no more where origins are allowed.
func TestCORS_ProgramsCostNoAllocation(t *testing.T) {
	with, without := newCORSServer(t), servertest.NewLoginServer(t)
	tokens := map[*servertest.LoginServer]string{with: with.AppToken("reader"), without: without.AppToken("reader")}
	for _, path := range []string{"/verify", "/.well-known/oauth-authorization-server"} {
		var allocations [2]float64
		for i, h := range []*servertest.LoginServer{with, without} {
			handler := h.Handler()
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
			r.Header.Set("Authorization", "Bearer "+tokens[h])
			r.Host = "localhost"
			w := httptest.NewRecorder()
			allocations[i] = testing.AllocsPerRun(200, func() {
				clear(w.Header())
				w.Body.Reset()
				handler.ServeHTTP(w, r)
			})
		}
		if allocations[0] > allocations[1] {
			t.Errorf("%s: %v allocations, %v without allowed origins", path, allocations[0], allocations[1])
		}
	}
}
