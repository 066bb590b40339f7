package server_test

import (
	"net/http"
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
