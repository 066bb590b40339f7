package oauth_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/testing/servertest"
)

func TestIntrospect_RequiresPermission(t *testing.T) {
	h := servertest.NewVectorServer(t)
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
		got := h.Post("/oauth2/introspect", x.by, servertest.TokenForm(h.Tokens["indexer"]))
		if got.Status != x.status || !strings.Contains(got.Body, x.code) {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
		if got.Status != http.StatusOK && (strings.Contains(got.Body, "active") || got.Header.Get("Www-Authenticate") == "") {
			t.Errorf("%s: %v %s", name, got.Header, got.Body)
		}
	}
}

func TestIntrospect_CallerAuthenticatesAsOAuthClient(t *testing.T) {
	h := servertest.NewVectorServer(t)
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
		values := servertest.TokenForm(h.Tokens["indexer"])
		for k, v := range x.form {
			values[k] = v
		}
		header := x.header
		if header == nil {
			header = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
		}
		got := h.Do(http.MethodPost, "/oauth2/introspect", header, values.Encode())
		if got.Status != x.status {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
	}
}

func TestIntrospect_OtherClientsTokenIsInactive(t *testing.T) {
	h := servertest.NewVectorServer(t)
	active := func(by, tok string) bool {
		t.Helper()
		got := h.Post("/oauth2/introspect", by, url.Values{"token": {h.Tokens[tok]}})
		if got.Status != http.StatusOK {
			t.Fatalf("%s about %s: %d %s", by, tok, got.Status, got.Body)
		}
		if got.JSON(t)["active"] != true && got.Body != "{\"active\":false}\n" {
			t.Errorf("%s about %s: %s", by, tok, got.Body)
		}
		return got.JSON(t)["active"] == true
	}
	for tok, want := range map[string]map[string]bool{
		"indexer":  {"introspector": false, "auditor": true, "root": true},
		"login":    {"introspector": false, "auditor": true, "root": true},
		"revoker":  {"introspector": true, "auditor": true, "root": true},
		"userkind": {"introspector": false, "auditor": true, "root": true},
	} {
		for by, want := range want {
			if got := active(by, tok); got != want {
				t.Errorf("%s about %s: active is %t", by, tok, got)
			}
		}
	}
}

// An introspection by another client's server is no use: it would keep a predecessor from retiring.
func TestIntrospect_OtherClientsTokenIsNotUsed(t *testing.T) {
	h := servertest.NewVectorServer(t)
	h.Index.TakeUses(1 << 20)
	h.Post("/oauth2/introspect", "introspector", url.Values{"token": {h.Tokens["indexer"]}})
	for _, u := range h.Index.TakeUses(1 << 20) {
		if u.ID.String() == h.Fixture.Records["indexer"].Name() {
			t.Error("it was used")
		}
	}
}
