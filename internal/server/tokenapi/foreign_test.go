package tokenapi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/management"
	"github.com/apptoken/operator/internal/testing/servertest"
)

func TestManage_WithoutPermissionRevealsNothing(t *testing.T) {
	h := servertest.NewLoginServer(t)
	h.AppToken("client~primary")
	for name, by := range map[string]servertest.RequestOption{
		"a user without it":          servertest.Bearer(h.Login("dave")),
		"a user without it, by name": servertest.Basic("dave"),
		"a token without it":         servertest.Bearer(h.AppToken("reader")),
		"a token with another":       servertest.Bearer(h.AppToken("sec.continuous.rest")),
	} {
		bodies := map[string]bool{}
		for _, call := range []string{
			"GET ", "GET /appreader", "GET /none", "PUT /new", "PUT /appclient~primary", "PATCH /appclient~primary", "PATCH /none", "DELETE /appclient~primary", "DELETE /none",
			"POST /appclient~primary/clone", "POST /none/clone", "POST /appclient~primary/rotate", "POST /none/rotate",
		} {
			method, path, _ := strings.Cut(call, " ")
			got := h.Call(method, servertest.PathAcmeTokens+path, by)
			if got.Status != 403 || h.Members(got)["error"] != "insufficient_scope" || !strings.Contains(got.Header.Get("Www-Authenticate"), "insufficient_scope") {
				t.Errorf("%s, %s: %d %s", name, call, got.Status, got.Body)
			}
			bodies[got.Body] = true
		}
		if len(bodies) != 1 {
			t.Errorf("%s: %v", name, bodies)
		}
	}
	h.CheckNoSecretInAudit()
}

// [row 13]
func TestManage_ForeignTokenLooksMissing(t *testing.T) {
	h := servertest.NewLoginServer(t)
	h.CreateToken(management.Scope{Client: "umbrella"}, management.TokenSpec{Name: "foreign"})
	h.CreateToken(management.Scope{Client: "acme", User: "dave"}, management.TokenSpec{Name: "his"})
	h.CreateToken(management.Scope{Client: "umbrella", User: "alice"}, management.TokenSpec{Name: "elsewhere"})
	admin, alice := h.AppToken("developer"), h.Login("alice")
	before := h.Store.WriteCounts()
	for name, x := range map[string]struct {
		by        servertest.RequestOption
		jsonPaths []string
	}{
		"a login": {servertest.Bearer(alice), []string{
			servertest.PathUmbrellaTokens + "/foreign", servertest.PathUmbrellaTokens + "/none", servertest.PathAcmeTokens + "/foreign", servertest.PathAcmeTokens + "/his", servertest.PathAcmeTokens + "/none", servertest.PathUserTokens + "/his", servertest.PathUserTokens + "/foreign", servertest.PathUserTokens + "/none", servertest.PathUserTokens + "/elsewhere",
			"/application-tokens/v1/clients/none/application-token/foreign", "/application-tokens/v1/clients/frozen/application-token/x",
		}},
		"a token":                    {servertest.Bearer(admin), []string{servertest.PathUmbrellaTokens + "/foreign", servertest.PathUmbrellaTokens + "/none", servertest.PathAcmeTokens + "/foreign", servertest.PathAcmeTokens + "/his", servertest.PathAcmeTokens + "/none"}},
		"a name":                     {servertest.Basic("erin"), []string{servertest.PathAcmeTokens + "/foreign", servertest.PathAcmeTokens + "/none", servertest.PathUmbrellaTokens + "/his", servertest.PathUmbrellaTokens + "/none", "/application-tokens/v1/clients/none/application-token/x"}},
		"a name, at another account": {servertest.Combined(servertest.Basic("alice"), servertest.QueryString("account_id=2002")), []string{servertest.PathAcmeTokens + "/foreign", servertest.PathAcmeTokens + "/none"}},
	} {
		for _, path := range x.jsonPaths {
			for _, call := range []string{"GET ", "PATCH ", "DELETE ", "POST /clone", "POST /rotate"} {
				method, more, _ := strings.Cut(call, " ")
				body := servertest.JSONBody(`{"name":"copy"}`)
				switch {
				case method == http.MethodPatch:
					body = servertest.JSONBody(`{"state":"Suspended"}`)
				case more == "/rotate":
					body = servertest.Header("A", "b")
				}
				if got := h.Call(method, path+more, x.by, body); got.Status != 404 || got.Body != servertest.EnvelopeNotFoundBody {
					t.Errorf("%s, %s %s: %d %s", name, call, path, got.Status, got.Body)
				}
			}
		}
	}
	for _, call := range []string{"GET " + servertest.PathUmbrellaTokens, "PUT " + servertest.PathUmbrellaTokens + "/new", "GET /application-tokens/v1/clients/none/application-token", "GET /application-tokens/nowhere", "GET /admin-api/nowhere"} {
		method, path, _ := strings.Cut(call, " ")
		if got := h.Call(method, path, servertest.Bearer(alice)); got.Status != 404 || got.Body != servertest.EnvelopeNotFoundBody {
			t.Errorf("%s: %d %s", call, got.Status, got.Body)
		}
	}
	if got := h.Call(http.MethodGet, servertest.PathUserTokens, servertest.Bearer(alice)); got.Body != `{"errorMessage":null,"data":[]}`+"\n" {
		t.Errorf("the list of a user: %s", got.Body)
	}
	if got := h.Call(http.MethodGet, servertest.PathAcmeTokens, servertest.Bearer(alice)); strings.Contains(got.Body, "foreign") || strings.Contains(got.Body, "his") || strings.Contains(got.Body, "elsewhere") {
		t.Errorf("the list of a client: %s", got.Body)
	}
	if h.Store.WriteCounts() != before {
		t.Error("something was written")
	}
	h.CheckNoSecretInAudit()
}
