package server_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/desk"
)

func TestWhoMayRevokeEndsSessionsOfTheClientByTheirRefreshTokens(t *testing.T) { // [row 12] [row 13]
	h := newOpenInn(t)
	revoker := h.make(desk.Scope{Client: "acme"}, desk.Wanted{Name: "revoker", Permissions: []string{"sec.token.revoke"}})
	stranger := h.make(desk.Scope{Client: "umbrella"}, desk.Wanted{Name: "revoker", Permissions: []string{"sec.token.revoke"}})
	first := h.call(http.MethodPost, "/oauth2/token", fielded(granting("alice")...))
	tok, refresh := h.token(first, "access_token"), h.token(first, "refresh_token")
	for _, x := range []struct {
		by   string
		good bool
	}{{stranger, true}, {revoker, false}, {revoker, false}} {
		if got := h.call(http.MethodPost, "/oauth2/revoke", bearer(x.by), fielded("token", refresh)); got.status != http.StatusOK || got.body != "{}\n" {
			t.Errorf("%d %s", got.status, got.body)
		}
		if h.good(tok) != x.good {
			t.Errorf("it is good: %v, want %v", h.good(tok), x.good)
		}
	}
	if got := h.call(http.MethodPost, "/auth/refresh", fielded("refresh_token", refresh)); got.status != http.StatusUnauthorized {
		t.Errorf("it is refreshed: %d", got.status)
	}
	h.clean()
}

func TestALoginThatHasExpiredAndCanBeRefreshedIsRevokedAllTheSame(t *testing.T) { // [row 12]
	h := newOpenInn(t)
	first := h.call(http.MethodPost, "/oauth2/token", fielded(granting("alice")...))
	tok, refresh := h.token(first, "access_token"), h.token(first, "refresh_token")
	h.clock.goes(2 * time.Hour)
	if got := h.call(http.MethodPost, "/oauth2/revoke", fielded("token", tok)); got.status != http.StatusOK {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := h.call(http.MethodPost, "/auth/refresh", fielded("refresh_token", refresh)); got.status != http.StatusUnauthorized {
		t.Errorf("it is refreshed: %d %s", got.status, got.body)
	}
	h.clean()
}

func TestAPageOfAnotherSiteDoesNotUseAPasswordThatABrowserRemembers(t *testing.T) {
	h := newOpenInn(t)
	for what, x := range map[string]struct {
		name, value string
		status      int
	}{
		"no page":                                     {"X-Nothing", "", http.StatusOK},
		"a page of ours":                              {"Sec-Fetch-Site", "same-origin", http.StatusOK},
		"an address that somebody typed":              {"Sec-Fetch-Site", "none", http.StatusOK},
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
		headers []part
		allowed bool
	}{
		"a program":                                  {nil, true},
		"a page of this site":                        {[]part{header("Sec-Fetch-Site", "same-origin")}, true},
		"an address that somebody typed":             {[]part{header("Sec-Fetch-Site", "none")}, true},
		"a page of a host beside this one":           {[]part{header("Sec-Fetch-Site", "same-site")}, false},
		"a page of another site":                     {[]part{header("Sec-Fetch-Site", "cross-site")}, false},
		"a page that has two opinions":               {[]part{header("Sec-Fetch-Site", "same-origin", "cross-site")}, false},
		"a page of another origin, in an old one":    {[]part{header("Origin", "https://evil.example")}, false},
		"a page of no origin, in an old one":         {[]part{header("Origin", "null")}, false},
		"a link on a page of another, in an old one": {[]part{header("Referer", "https://evil.example/page")}, false},
		"a link on a page that has this as its path": {[]part{header("Referer", "https://evil.example/{host}")}, false},
		"a link on a page that has this as its user": {[]part{header("Referer", "http://{host}@evil.example/")}, false},
		"a link on a page of this, in an old one":    {[]part{header("Referer", "http://{host}/ui/?a=b#c")}, true},
		"a link on a page of this without a path":    {[]part{header("Referer", "http://{host}?a=b")}, true},
		"a referer that is no address":               {[]part{header("Referer", "about:blank")}, false},
		"this origin, and another referer":           {[]part{header("Origin", "http://{host}"), header("Referer", "https://evil.example/")}, true},
	} {
		for path, method := range map[string]string{logoutPath: http.MethodGet, "/auth/logout": http.MethodPost} {
			for way, present := range map[string]func(tok, id string) part{
				"in cookies":  func(tok, id string) part { return cookies(credentialCookie+tok, "SESSION="+id) },
				"in a header": func(tok, id string) part { return both(bearer(tok), cookies("SESSION="+id)) },
			} {
				h := newOpenInn(t)
				tok, id := h.session("60")
				parts := []part{present(tok, id)}
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
				ended := !h.good(tok, cookies("SESSION="+id))
				want := http.StatusOK
				if !x.allowed {
					want = http.StatusForbidden
				}
				if ended != x.allowed || got.status != want {
					t.Errorf("%s, %s, %s: %d %s, and the login ended: %t", what, path, way, got.status, got.body, ended)
				}
				h.clean()
			}
		}
	}
}
