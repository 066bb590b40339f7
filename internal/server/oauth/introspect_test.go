package server_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func form(token string) url.Values { return url.Values{"token": {token}} }

func TestIntrospect_RequiresPermission(t *testing.T) {
	h := newFixture(t)
	for name, x := range map[string]struct {
		by     string
		status int
		code   string
	}{
		"a token with the permission":    {"introspector", http.StatusOK, ""},
		"a token that may do anything":   {"root", http.StatusOK, ""},
		"a token with other permissions": {"revoker", http.StatusForbidden, "insufficient_scope"},
		"a token with none":              {"nothing", http.StatusForbidden, "insufficient_scope"},
		"a token that expired":           {"ended", http.StatusUnauthorized, "invalid_client"},
		"an unknown token":               {"unlisted", http.StatusUnauthorized, "invalid_client"},
		"no caller":                      {"", http.StatusUnauthorized, "invalid_client"},
	} {
		got := h.post("/oauth2/introspect", x.by, form(h.Tokens["indexer"]))
		if got.status != x.status || !strings.Contains(got.body, x.code) {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
		if got.status != http.StatusOK && (strings.Contains(got.body, "active") || got.header.Get("Www-Authenticate") == "") {
			t.Errorf("%s: %v %s", name, got.header, got.body)
		}
	}
}

func TestIntrospect_CallerAuthenticatesAsOAuthClient(t *testing.T) {
	h := newFixture(t)
	basic := func(user, password string) http.Header {
		req, _ := http.NewRequest(http.MethodPost, "/", nil) //nolint:noctx // used for its header alone
		req.SetBasicAuth(user, password)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return req.Header
	}
	good := h.Tokens["introspector"]
	for name, x := range map[string]struct {
		header http.Header
		form   url.Values
		status int
	}{
		"its token as the secret":            {basic("all", good), nil, http.StatusOK},
		"its token, of another client":       {basic("acme", good), nil, http.StatusUnauthorized},
		"another secret":                     {basic("all", "secret"), nil, http.StatusUnauthorized},
		"its token in the form":              {nil, url.Values{"client_id": {"all"}, "client_secret": {good}}, http.StatusOK},
		"its token in the form, of another":  {nil, url.Values{"client_id": {"acme"}, "client_secret": {good}}, http.StatusUnauthorized},
		"in the header and in the form":      {basic("all", good), url.Values{"client_id": {"all"}, "client_secret": {good}}, http.StatusUnauthorized},
		"its token, and no name":             {basic("", good), nil, http.StatusUnauthorized},
		"its token in the form, and no name": {nil, url.Values{"client_secret": {good}}, http.StatusUnauthorized},
		"a name and no secret":               {nil, url.Values{"client_id": {"all"}}, http.StatusUnauthorized},
	} {
		values := form(h.Tokens["indexer"])
		for k, v := range x.form {
			values[k] = v
		}
		header := x.header
		if header == nil {
			header = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
		}
		got := h.do(http.MethodPost, "/oauth2/introspect", header, values.Encode())
		if got.status != x.status {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
}

func TestOAuthForm_InvalidFormIsRefusedAndNotEchoed(t *testing.T) {
	h := newFixture(t)
	typed := func(kind string) http.Header {
		return http.Header{"Content-Type": {kind}, "Authorization": {"Bearer " + h.Tokens["root"]}}
	}
	const urlencoded = "application/x-www-form-urlencoded"
	secret := h.Tokens["indexer"]
	for name, x := range map[string]struct {
		method, query string
		header        http.Header
		body          string
		status        int
	}{
		"no token":               {"POST", "", typed(urlencoded), "x=1", 400},
		"an empty token":         {"POST", "", typed(urlencoded), "token=", 400},
		"an empty body":          {"POST", "", typed(urlencoded), "", 400},
		"the token twice":        {"POST", "", typed(urlencoded), "token=" + secret + "&token=" + secret, 400},
		"the token in the query": {"POST", "?token=" + secret, typed(urlencoded), "", 400},
		"a broken escape":        {"POST", "", typed(urlencoded), "token=%zz" + secret, 400},
		"JSON":                   {"POST", "", typed("application/json"), `{"token":"` + secret + `"}`, 415},
		"no content type":        {"POST", "", http.Header{"Content-Type": {""}}, "token=" + secret, 415},
		"too large":              {"POST", "", typed(urlencoded), "token=" + strings.Repeat("a", 129<<10), 413},
		"a token of 70 KB":       {"POST", "", typed(urlencoded), "token=" + strings.Repeat("a", 70_000), 200},
		"GET":                    {"GET", "?token=" + secret, typed(urlencoded), "", 405},
		"a charset is no harm":   {"POST", "", typed(urlencoded + "; charset=UTF-8"), "token=" + secret, 200},
		"an unknown hint":        {"POST", "", typed(urlencoded), "token_type_hint=x&token=" + secret, 200},
	} {
		for _, path := range []string{"/oauth2/introspect", "/oauth2/revoke"} {
			if x.status == 200 && path == "/oauth2/revoke" {
				continue
			}
			got := h.do(x.method, path+x.query, x.header, x.body)
			if got.status != x.status {
				t.Errorf("%s at %s: %d %s", name, path, got.status, got.body)
			}
			h.noLeak(name, got.body)
		}
	}
	h.noLeak("the audit log", h.audit.text())
}

// A caller without the token and the permission learns nothing by a revocation, and ends nothing.
func TestRevoke_ByHolderOrByPermission(t *testing.T) {
	for name, x := range map[string]struct {
		by, what string
		status   int
		ends     bool
	}{
		"the holder, by presenting it":                {"", "indexer", 200, true},
		"the holder, who authenticates with the same": {"indexer", "indexer", 200, true},
		"one that may revoke, of its own client":      {"root", "introspector", 200, true},
		"one that may revoke, of another client":      {"root", "indexer", 200, false},
		"one that may not":                            {"both", "indexer", 403, false},
		"one that is dead":                            {"ended", "indexer", 401, false},
		"no caller, an ended token":                   {"", "ended", 200, false},
		"the holder, while it is suspended":           {"", "suspended", 200, true},
		"the holder, while its owner is stopped":      {"", "stopped", 200, true},
		"the holder, from an address that is refused": {"", "ranged", 200, true},
		"the holder, without its session":             {"", "sessionanywhere", 200, true},
		"the holder, after it lay idle":               {"", "idleover", 200, true},
		"the holder, after the password was changed":  {"", "loginbefore", 200, true},
		"the holder, while the user is suspended":     {"", "loginbob", 200, true},
		"one of a session, another":                   {"sessionanywhere", "indexer", 401, false},
		"a user's token that may not":                 {"login", "indexer", 403, false},
		"one that may revoke, what is dead":           {"root", "ended", 200, false},
		"no caller, an unknown token":                 {"", "unlisted", 200, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := newFixture(t)
			before := len(h.store.records)
			got := h.post("/oauth2/revoke", x.by, form(h.Tokens[x.what]))
			if got.status != x.status {
				t.Fatalf("%d %s", got.status, got.body)
			}
			_, stored := h.store.records[h.Fixture.Records[x.what].Digest]
			if ended := !stored && len(h.store.records) == before-1; ended != x.ends {
				t.Errorf("ended: %t", ended)
			}
			after := h.do(http.MethodGet, "/verify", http.Header{"Authorization": {"Bearer " + h.Tokens[x.what]}}, "")
			if x.ends && after.status != http.StatusUnauthorized {
				t.Errorf("it is accepted after it was revoked: %d", after.status)
			}
			if said := strings.Contains(h.audit.text(), `"token.revoked"`); said != x.ends {
				t.Errorf("audit: %s", h.audit.text())
			}
			h.noLeak("the audit log", h.audit.text())
			h.noLeak("the answer", got.body)
		})
	}
}

// Row 12: a revocation that was not stored is not reported as done.
func TestRevoke_FailedDeletionIsUnavailable(t *testing.T) {
	h := newFixture(t)
	h.store.fail = errors.New("the store is away")
	got := h.post("/oauth2/revoke", "", form(h.Tokens["indexer"]))
	if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
		t.Errorf("%d %v", got.status, got.header)
	}
	if strings.Contains(h.audit.text(), `"token.revoked"`) {
		t.Errorf("audit: %s", h.audit.text())
	}
	if after := h.do(http.MethodGet, "/verify", http.Header{"Authorization": {"Bearer " + h.Tokens["indexer"]}}, ""); after.status != http.StatusOK {
		t.Errorf("%d", after.status)
	}
}

// The API server is unreachable and the token is not in the index, so the server cannot determine
// whether it is gone.
func TestRevoke_UnreachableStoreIsUnavailable(t *testing.T) {
	h := newFixture(t)
	h.store.fail = errors.New("the store is away")
	for path, by := range map[string]string{"/oauth2/revoke": "", "/oauth2/introspect": "root"} {
		if got := h.post(path, by, form(h.Tokens["unlisted"])); got.status != http.StatusServiceUnavailable {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	if got := h.do(http.MethodGet, "/verify", http.Header{"Authorization": {"Bearer " + h.Tokens["unlisted"]}}, ""); got.status != http.StatusUnauthorized {
		t.Errorf("/verify: %d", got.status)
	}
}

func TestChallenge_NamesTheSchemeTried(t *testing.T) {
	h := newFixture(t)
	for authorization, want := range map[string]string{
		"":                            `Bearer realm="apptoken"`,
		"Bearer " + h.Tokens["ended"]: `Bearer realm="apptoken", error="invalid_token"`,
		"Basic YWxsOnNlY3JldA==":      `Basic realm="apptoken", charset="UTF-8"`,
	} {
		header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
		if authorization != "" {
			header.Set("Authorization", authorization)
		}
		got := h.do(http.MethodPost, "/oauth2/introspect", header, form(h.Tokens["indexer"]).Encode())
		if got.status != http.StatusUnauthorized || got.header.Get("Www-Authenticate") != want {
			t.Errorf("%q: %d %q", authorization, got.status, got.header.Get("Www-Authenticate"))
		}
	}
}

func TestMetadata_NamesEndpoints(t *testing.T) {
	h := newFixture(t)
	got := h.do(http.MethodGet, "/.well-known/oauth-authorization-server", nil, "")
	said := got.json(t)
	for name, want := range map[string]string{
		"issuer": h.url, "introspection_endpoint": h.url + "/oauth2/introspect", "revocation_endpoint": h.url + "/oauth2/revoke",
	} {
		if said[name] != want {
			t.Errorf("%s is %v, want %s", name, said[name], want)
		}
	}
	h.Issuer = "https://tokens.example.com"
	if said := h.do(http.MethodGet, "/.well-known/oauth-authorization-server", nil, "").json(t); said["issuer"] != h.Issuer {
		t.Errorf("issuer is %v", said["issuer"])
	}
}
