package server_test

import (
	"net/http"
	"testing"
)

// Java clients send a name and a password in UTF-8 only where the challenge asks for it (RFC 7617,
// section 2.1).
func TestChallenge_BasicAsksForUTF8(t *testing.T) {
	h := newOpenInn(t)
	wrong := header("Authorization", "Basic "+encoded("dave", "x"))
	for name, x := range map[string]struct {
		method, path string
		parts        []part
	}{
		"a session token":              {http.MethodGet, sessionPath + "5", []part{wrong}},
		"an open token":                {http.MethodGet, openPath + "5", []part{wrong}},
		"a login":                      {http.MethodPost, "/auth/login", []part{wrong}},
		"a login by form":              {http.MethodPost, formLogin, []part{fielded("username", "dave", "password", "x")}},
		"the tokens of a client":       {http.MethodGet, ofAcme, []part{wrong}},
		"the tokens of a user":         {http.MethodGet, ofUser, []part{wrong}},
		"a grant":                      {http.MethodPost, "/oauth2/token", []part{wrong, fielded(granting("dave")...)}},
		"an introspection":             {http.MethodPost, "/oauth2/introspect", []part{wrong, fielded("token", "x")}},
		"a revocation":                 {http.MethodPost, "/oauth2/revoke", []part{wrong, fielded("token", "other")}},
		"a header that cannot be read": {http.MethodGet, ofAcme, []part{header("Authorization", "Basic !")}},
	} {
		got := h.call(x.method, x.path, x.parts...)
		if challenge := got.header.Get("Www-Authenticate"); got.status != http.StatusUnauthorized || challenge != `Basic realm="apptoken", charset="UTF-8"` {
			t.Errorf("%s: %d %q", name, got.status, challenge)
		}
	}
	h.clean()
}
