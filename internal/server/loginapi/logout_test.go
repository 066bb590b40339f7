package loginapi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/testing/servertest"
)

// A browser sends the cookies of a login with requests that another site's page makes or links to.
func TestLogout_FromOtherSiteIsRefused(t *testing.T) {
	for what, x := range map[string]struct {
		headers []servertest.RequestOption
		allowed bool
	}{
		"a program":                                  {nil, true},
		"a page of this site":                        {[]servertest.RequestOption{servertest.Header("Sec-Fetch-Site", "same-origin")}, true},
		"an address that a user typed":               {[]servertest.RequestOption{servertest.Header("Sec-Fetch-Site", "none")}, true},
		"a page of a host beside this one":           {[]servertest.RequestOption{servertest.Header("Sec-Fetch-Site", "same-site")}, false},
		"a page of another site":                     {[]servertest.RequestOption{servertest.Header("Sec-Fetch-Site", "cross-site")}, false},
		"a page that has two opinions":               {[]servertest.RequestOption{servertest.Header("Sec-Fetch-Site", "same-origin", "cross-site")}, false},
		"a page of another origin, in an old one":    {[]servertest.RequestOption{servertest.Header("Origin", "https://evil.example")}, false},
		"a page of no origin, in an old one":         {[]servertest.RequestOption{servertest.Header("Origin", "null")}, false},
		"a link on a page of another, in an old one": {[]servertest.RequestOption{servertest.Header("Referer", "https://evil.example/page")}, false},
		"a link on a page that has this as its path": {[]servertest.RequestOption{servertest.Header("Referer", "https://evil.example/{host}")}, false},
		"a link on a page that has this as its user": {[]servertest.RequestOption{servertest.Header("Referer", "http://{host}@evil.example/")}, false},
		"a link on a page of this, in an old one":    {[]servertest.RequestOption{servertest.Header("Referer", "http://{host}/ui/?a=b#c")}, true},
		"a link on a page of this without a path":    {[]servertest.RequestOption{servertest.Header("Referer", "http://{host}?a=b")}, true},
		"a referer that is no address":               {[]servertest.RequestOption{servertest.Header("Referer", "about:blank")}, false},
		"this origin, and another referer":           {[]servertest.RequestOption{servertest.Header("Origin", "http://{host}"), servertest.Header("Referer", "https://evil.example/")}, true},
	} {
		for path, method := range map[string]string{servertest.PathSpectrumLogout: http.MethodGet, "/auth/logout": http.MethodPost} {
			for way, present := range map[string]func(tok, id string) servertest.RequestOption{
				"in cookies": func(tok, id string) servertest.RequestOption {
					return servertest.Cookies(servertest.CredentialCookie+tok, "SESSION="+id)
				},
				"in a header": func(tok, id string) servertest.RequestOption {
					return servertest.Combined(servertest.Bearer(tok), servertest.Cookies("SESSION="+id))
				},
			} {
				h := servertest.NewLoginServer(t)
				tok, id := h.SpectrumSession("60")
				parts := []servertest.RequestOption{present(tok, id)}
				for _, p := range x.headers {
					parts = append(parts, func(r *http.Request) {
						p(r)
						for _, name := range []string{"Origin", "Referer"} {
							for i, value := range r.Header[name] {
								r.Header[name][i] = strings.ReplaceAll(value, "{host}", r.URL.Host)
							}
						}
					})
				}
				got := h.Call(method, path, parts...)
				ended := !h.IsValid(tok, servertest.Cookies("SESSION="+id))
				want := http.StatusOK
				if !x.allowed {
					want = http.StatusForbidden
				}
				if ended != x.allowed || got.Status != want {
					t.Errorf("%s, %s, %s: %d %s, and the login ended: %t", what, path, way, got.Status, got.Body, ended)
				}
				h.CheckNoSecretInAudit()
			}
		}
	}
}

func TestLogout_EndsCallingLoginOnly(t *testing.T) {
	for name, how := range map[string]func(string) servertest.RequestOption{
		"Authorization": servertest.Bearer, "Authentication": servertest.Authentication, "X-Security-Token": servertest.SecurityToken, "a cookie": func(tok string) servertest.RequestOption {
			return servertest.Cookies(servertest.CredentialCookie + tok)
		},
	} {
		h := servertest.NewLoginServer(t)
		first := h.Call(http.MethodPost, "/auth/login", servertest.FormBody(servertest.CredentialFields("alice")...))
		tok, refresh, other := h.TokenIn(first, "token"), h.TokenIn(first, "refreshToken"), h.Login("alice")
		if got := h.Call(http.MethodPost, "/auth/logout", how(tok)); got.Status != http.StatusOK || got.Body != `{"success":true}`+"\n" {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
		if h.IsValid(tok) || !h.IsValid(other) {
			t.Errorf("%s: it goes on, or another ended", name)
		}
		if got := h.Call(http.MethodPost, "/auth/refresh", servertest.FormBody("refresh_token", refresh)); got.Status != 401 {
			t.Errorf("%s: its refresh token: %d", name, got.Status)
		}
		if got := h.Call(http.MethodPost, "/auth/logout", how(tok)); got.Status != 401 {
			t.Errorf("%s: once more: %d", name, got.Status)
		}
		h.CheckNoSecretInAudit()
	}
}

func TestLogout_SpectrumEndsCallingToken(t *testing.T) {
	h := servertest.NewLoginServer(t)
	tok, id := h.SpectrumSession("60")
	openTok := h.TokenIn(h.Call(http.MethodGet, servertest.PathOpenToken+"60", servertest.Basic("alice")), "access_token")
	loginTok, app := h.Login("alice"), h.AppToken("reader")
	for name, x := range map[string]struct {
		tok    string
		parts  []servertest.RequestOption
		status int
	}{
		"a session token":    {tok, []servertest.RequestOption{servertest.Bearer(tok), servertest.Cookies("SESSION=" + id)}, 200},
		"an open token":      {openTok, []servertest.RequestOption{servertest.Cookies(servertest.CredentialCookie + openTok)}, 200},
		"a login token":      {loginTok, []servertest.RequestOption{servertest.SecurityToken(loginTok)}, 200},
		"a program's token":  {app, []servertest.RequestOption{servertest.Bearer(app)}, 403},
		"a name":             {"", []servertest.RequestOption{servertest.Basic("alice")}, 401},
		"the same, twice":    {app, []servertest.RequestOption{servertest.Bearer(app), servertest.SecurityToken(app)}, 403},
		"two tokens":         {app, []servertest.RequestOption{servertest.Bearer(app), servertest.SecurityToken(h.UnknownToken())}, 401},
		"nothing":            {"", nil, 401},
		"a token that ended": {"", []servertest.RequestOption{servertest.Bearer("ats_" + strings.Repeat("0", 49))}, 401},
	} {
		got := h.Call(http.MethodGet, servertest.PathSpectrumLogout, x.parts...)
		if got.Status != x.status || got.Status == 200 && got.Body != `{"success":true}`+"\n" {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
		if x.tok != "" && h.IsValid(x.tok, servertest.Cookies("SESSION="+id)) == (x.status == 200) {
			t.Errorf("%s: it goes on, or ended", name)
		}
	}
	h.CheckNoSecretInAudit()
}
