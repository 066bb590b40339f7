package e2e_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/apptoken/operator/test/programs"
)

// tokenResponse is a response of the token endpoint.
type tokenResponse struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int    `json:"expires_in"`
	Scope        string
}

// introspectionResponse is a response of the introspection endpoint.
type introspectionResponse struct {
	Active               bool
	Sub, Username, Scope string
}

func TestOAuth_LibraryLogsInRefreshesAndRevokes(t *testing.T) {
	programs.RequirePython(t, "authlib", "requests")
	op, issuer, ca := startWithTLS(t)
	w := newTenant(t, op)
	w.editClient(`{roles: [{name: primary, permissions: ["search.*"]}, {name: writer, permissions: ["sec.token.introspect"]}]}`)
	w.declareToken("gateway", `{roles: [writer]}`)
	w.waitReady("gateway")
	p := w.newUser("alice")
	p.waitKnown()
	var said struct {
		Issuer             string
		TokenEndpoint      string `json:"token_endpoint"`
		Grants             []string
		Wrong, Over        string
		First, Second      tokenResponse
		Verified           int
		Refreshed, Revoked int
		Before, Now, After introspectionResponse
	}
	p.runScript("oauth_login.py", map[string]any{
		"issuer": issuer, "username": p.username, "password": p.password, "client_id": w.name, "introspector": w.tokenText("gateway"),
	}, ca, &said)
	if said.Issuer != issuer || said.TokenEndpoint != issuer+"/oauth2/token" || !slices.Equal(said.Grants, []string{"password", "refresh_token", "client_credentials"}) {
		t.Errorf("the metadata: %+v", said)
	}
	for sentence, g := range map[string]tokenResponse{"the login": said.First, "the refresh": said.Second} {
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
