package server_test

import (
	"net/http"
	"testing"
)

// Java clients send a name and a password in UTF-8 only where the challenge asks for it (RFC 7617,
// section 2.1).
func TestChallenge_BasicAsksForUTF8(t *testing.T) {
	h := newLoginServer(t)
	wrong := header("Authorization", "Basic "+basicCredentials("dave", "x"))
	for name, x := range map[string]struct {
		method, path string
		parts        []requestOption
	}{
		"a session token":              {http.MethodGet, sessionPath + "5", []requestOption{wrong}},
		"an open token":                {http.MethodGet, openPath + "5", []requestOption{wrong}},
		"a login":                      {http.MethodPost, "/auth/login", []requestOption{wrong}},
		"a login by form":              {http.MethodPost, formLogin, []requestOption{formBody("username", "dave", "password", "x")}},
		"the tokens of a client":       {http.MethodGet, ofAcme, []requestOption{wrong}},
		"the tokens of a user":         {http.MethodGet, ofUser, []requestOption{wrong}},
		"a grant":                      {http.MethodPost, "/oauth2/token", []requestOption{wrong, formBody(passwordGrant("dave")...)}},
		"an introspection":             {http.MethodPost, "/oauth2/introspect", []requestOption{wrong, formBody("token", "x")}},
		"a revocation":                 {http.MethodPost, "/oauth2/revoke", []requestOption{wrong, formBody("token", "other")}},
		"a header that cannot be read": {http.MethodGet, ofAcme, []requestOption{header("Authorization", "Basic !")}},
	} {
		got := h.call(x.method, x.path, x.parts...)
		if challenge := got.header.Get("Www-Authenticate"); got.status != http.StatusUnauthorized || challenge != `Basic realm="apptoken", charset="UTF-8"` {
			t.Errorf("%s: %d %q", name, got.status, challenge)
		}
	}
	h.checkNoSecretInAudit()
}
