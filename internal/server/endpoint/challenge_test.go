package endpoint_test

import (
	"net/http"
	"testing"

	"github.com/apptoken/operator/internal/testing/servertest"
)

// Java clients send a name and a password in UTF-8 only where the challenge asks for it (RFC 7617,
// section 2.1).
func TestChallenge_BasicAsksForUTF8(t *testing.T) {
	h := servertest.NewLoginServer(t)
	wrong := servertest.Header("Authorization", "Basic "+servertest.BasicCredentials("dave", "x"))
	for name, x := range map[string]struct {
		method, path string
		parts        []servertest.RequestOption
	}{
		"a session token":              {http.MethodGet, servertest.PathSessionToken + "5", []servertest.RequestOption{wrong}},
		"an open token":                {http.MethodGet, servertest.PathOpenToken + "5", []servertest.RequestOption{wrong}},
		"a login":                      {http.MethodPost, "/auth/login", []servertest.RequestOption{wrong}},
		"a login by form":              {http.MethodPost, servertest.PathFormLogin, []servertest.RequestOption{servertest.FormBody("username", "dave", "password", "x")}},
		"the tokens of a client":       {http.MethodGet, servertest.PathAcmeTokens, []servertest.RequestOption{wrong}},
		"the tokens of a user":         {http.MethodGet, servertest.PathUserTokens, []servertest.RequestOption{wrong}},
		"a grant":                      {http.MethodPost, "/oauth2/token", []servertest.RequestOption{wrong, servertest.FormBody(servertest.PasswordGrant("dave")...)}},
		"an introspection":             {http.MethodPost, "/oauth2/introspect", []servertest.RequestOption{wrong, servertest.FormBody("token", "x")}},
		"a revocation":                 {http.MethodPost, "/oauth2/revoke", []servertest.RequestOption{wrong, servertest.FormBody("token", "other")}},
		"a header that cannot be read": {http.MethodGet, servertest.PathAcmeTokens, []servertest.RequestOption{servertest.Header("Authorization", "Basic !")}},
	} {
		got := h.Call(x.method, x.path, x.parts...)
		if challenge := got.Header.Get("Www-Authenticate"); got.Status != http.StatusUnauthorized || challenge != `Basic realm="apptoken", charset="UTF-8"` {
			t.Errorf("%s: %d %q", name, got.Status, challenge)
		}
	}
	h.CheckNoSecretInAudit()
}

func TestChallenge_NamesTheSchemeTried(t *testing.T) {
	h := servertest.NewVectorServer(t)
	for authorization, want := range map[string]string{
		"":                            `Bearer realm="apptoken"`,
		"Bearer " + h.Tokens["ended"]: `Bearer realm="apptoken", error="invalid_token"`,
		"Basic YWxsOnNlY3JldA==":      `Basic realm="apptoken", charset="UTF-8"`,
	} {
		header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
		if authorization != "" {
			header.Set("Authorization", authorization)
		}
		got := h.Do(http.MethodPost, "/oauth2/introspect", header, servertest.TokenForm(h.Tokens["indexer"]).Encode())
		if got.Status != http.StatusUnauthorized || got.Header.Get("Www-Authenticate") != want {
			t.Errorf("%q: %d %q", authorization, got.Status, got.Header.Get("Www-Authenticate"))
		}
	}
}
