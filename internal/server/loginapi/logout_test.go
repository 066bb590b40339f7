package server_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/management"
)

func TestRevoke_RefreshTokenEndsSessionOfOwnClient(t *testing.T) { // [row 12] [row 13]
	h := newLoginServer(t)
	revoker := h.createToken(management.Scope{Client: "acme"}, management.TokenSpec{Name: "revoker", Permissions: []string{"sec.token.revoke"}})
	other := h.createToken(management.Scope{Client: "umbrella"}, management.TokenSpec{Name: "revoker", Permissions: []string{"sec.token.revoke"}})
	first := h.call(http.MethodPost, "/oauth2/token", formBody(passwordGrant("alice")...))
	tok, refresh := h.token(first, "access_token"), h.token(first, "refresh_token")
	for _, x := range []struct {
		by   string
		good bool
	}{{other, true}, {revoker, false}, {revoker, false}} {
		if got := h.call(http.MethodPost, "/oauth2/revoke", bearer(x.by), formBody("token", refresh)); got.status != http.StatusOK || got.body != "{}\n" {
			t.Errorf("%d %s", got.status, got.body)
		}
		if h.isValid(tok) != x.good {
			t.Errorf("it is good: %v, want %v", h.isValid(tok), x.good)
		}
	}
	if got := h.call(http.MethodPost, "/auth/refresh", formBody("refresh_token", refresh)); got.status != http.StatusUnauthorized {
		t.Errorf("it is refreshed: %d", got.status)
	}
	h.checkNoSecretInAudit()
}

func TestRevoke_ExpiredRefreshableLoginIsRevoked(t *testing.T) { // [row 12]
	h := newLoginServer(t)
	first := h.call(http.MethodPost, "/oauth2/token", formBody(passwordGrant("alice")...))
	tok, refresh := h.token(first, "access_token"), h.token(first, "refresh_token")
	h.clock.advance(2 * time.Hour)
	if got := h.call(http.MethodPost, "/oauth2/revoke", formBody("token", tok)); got.status != http.StatusOK {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := h.call(http.MethodPost, "/auth/refresh", formBody("refresh_token", refresh)); got.status != http.StatusUnauthorized {
		t.Errorf("it is refreshed: %d %s", got.status, got.body)
	}
	h.checkNoSecretInAudit()
}

func TestBasicAuth_OtherSiteCannotUseStoredPassword(t *testing.T) {
	h := newLoginServer(t)
	for what, x := range map[string]struct {
		name, value string
		status      int
	}{
		"no page":                                     {"X-Nothing", "", http.StatusOK},
		"a page of ours":                              {"Sec-Fetch-Site", "same-origin", http.StatusOK},
		"an address that a user typed":                {"Sec-Fetch-Site", "none", http.StatusOK},
		"a page of a host beside us":                  {"Sec-Fetch-Site", "same-site", http.StatusUnauthorized},
		"a page of another site":                      {"Sec-Fetch-Site", "cross-site", http.StatusUnauthorized},
		"a page of ours, as old browsers say":         {"Origin", h.url, http.StatusOK},
		"a page of another host, as old browsers say": {"Origin", "https://evil.example", http.StatusUnauthorized},
		"a page of nowhere":                           {"Origin", "null", http.StatusUnauthorized},
	} {
		got := h.call(http.MethodGet, "/application-tokens/v1/application-token", basic("alice"), header(x.name, x.value))
		if got.status != x.status {
			t.Errorf("%s: %d %s", what, got.status, got.body)
		}
	}
}

// A browser sends the cookies of a login with requests that another site's page makes or links to.
func TestLogout_FromOtherSiteIsRefused(t *testing.T) {
	for what, x := range map[string]struct {
		headers []requestOption
		allowed bool
	}{
		"a program":                                  {nil, true},
		"a page of this site":                        {[]requestOption{header("Sec-Fetch-Site", "same-origin")}, true},
		"an address that a user typed":               {[]requestOption{header("Sec-Fetch-Site", "none")}, true},
		"a page of a host beside this one":           {[]requestOption{header("Sec-Fetch-Site", "same-site")}, false},
		"a page of another site":                     {[]requestOption{header("Sec-Fetch-Site", "cross-site")}, false},
		"a page that has two opinions":               {[]requestOption{header("Sec-Fetch-Site", "same-origin", "cross-site")}, false},
		"a page of another origin, in an old one":    {[]requestOption{header("Origin", "https://evil.example")}, false},
		"a page of no origin, in an old one":         {[]requestOption{header("Origin", "null")}, false},
		"a link on a page of another, in an old one": {[]requestOption{header("Referer", "https://evil.example/page")}, false},
		"a link on a page that has this as its path": {[]requestOption{header("Referer", "https://evil.example/{host}")}, false},
		"a link on a page that has this as its user": {[]requestOption{header("Referer", "http://{host}@evil.example/")}, false},
		"a link on a page of this, in an old one":    {[]requestOption{header("Referer", "http://{host}/ui/?a=b#c")}, true},
		"a link on a page of this without a path":    {[]requestOption{header("Referer", "http://{host}?a=b")}, true},
		"a referer that is no address":               {[]requestOption{header("Referer", "about:blank")}, false},
		"this origin, and another referer":           {[]requestOption{header("Origin", "http://{host}"), header("Referer", "https://evil.example/")}, true},
	} {
		for path, method := range map[string]string{logoutPath: http.MethodGet, "/auth/logout": http.MethodPost} {
			for way, present := range map[string]func(tok, id string) requestOption{
				"in cookies":  func(tok, id string) requestOption { return cookies(credentialCookie+tok, "SESSION="+id) },
				"in a header": func(tok, id string) requestOption { return combined(bearer(tok), cookies("SESSION="+id)) },
			} {
				h := newLoginServer(t)
				tok, id := h.session("60")
				parts := []requestOption{present(tok, id)}
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
				got := h.call(method, path, parts...)
				ended := !h.isValid(tok, cookies("SESSION="+id))
				want := http.StatusOK
				if !x.allowed {
					want = http.StatusForbidden
				}
				if ended != x.allowed || got.status != want {
					t.Errorf("%s, %s, %s: %d %s, and the login ended: %t", what, path, way, got.status, got.body, ended)
				}
				h.checkNoSecretInAudit()
			}
		}
	}
}
