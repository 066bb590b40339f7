package e2e_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/apptoken/operator/test/programs"
)

// granted is a response of the token endpoint.
type granted struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int    `json:"expires_in"`
	Scope        string
}

// introspected is a response of the introspection endpoint.
type introspected struct {
	Active               bool
	Sub, Username, Scope string
}

func TestAnOAuthLibraryLogsInRefreshesAndRevokes(t *testing.T) {
	programs.NeedPython(t, "authlib", "requests")
	op, issuer, ca := overTLS(t)
	w := tenantOf(t, op)
	w.editClient(`{roles: [{name: primary, permissions: ["search.*"]}, {name: writer, permissions: ["sec.token.introspect"]}]}`)
	w.declare("gateway", `{roles: [writer]}`)
	w.ready("gateway")
	p := w.person("alice")
	p.known()
	var said struct {
		Issuer             string
		TokenEndpoint      string `json:"token_endpoint"`
		Grants             []string
		Wrong, Over        string
		First, Second      granted
		Verified           int
		Refreshed, Revoked int
		Before, Now, After introspected
	}
	p.script("oauth_login.py", map[string]any{
		"issuer": issuer, "username": p.username, "password": p.password, "client_id": w.name, "introspector": w.text("gateway"),
	}, ca, &said)
	if said.Issuer != issuer || said.TokenEndpoint != issuer+"/oauth2/token" || !slices.Equal(said.Grants, []string{"password", "refresh_token"}) {
		t.Errorf("the metadata: %+v", said)
	}
	for sentence, g := range map[string]granted{"the login": said.First, "the refresh": said.Second} {
		if g.AccessToken == "" || g.RefreshToken == "" || g.TokenType != "Bearer" || g.ExpiresIn != 3600 || g.Scope != "search.*" {
			t.Errorf("%s: %+v", sentence, g)
		}
	}
	if said.First.AccessToken == said.Second.AccessToken || said.First.RefreshToken == said.Second.RefreshToken {
		t.Error("a refresh gives what there was before")
	}
	if said.Wrong != "invalid_grant" || said.Over != "invalid_grant" {
		t.Errorf("refusals: of a wrong password %q, of a revoked refresh token %q", said.Wrong, said.Over)
	}
	if said.Verified != http.StatusOK || said.Refreshed != http.StatusOK || said.Revoked != http.StatusOK {
		t.Errorf("verified %d, refreshed %d, revoked %d", said.Verified, said.Refreshed, said.Revoked)
	}
	if now := said.Now; !now.Active || now.Sub != p.user || now.Username != p.username || now.Scope != "search.*" {
		t.Errorf("introspection: %+v", now)
	}
	if said.Before.Active || said.After.Active {
		t.Errorf("what was refreshed is active: %t; what was revoked: %t", said.Before.Active, said.After.Active)
	}
}
