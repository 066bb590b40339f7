package oauth_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	grants "github.com/apptoken/operator/internal/grant"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/management"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/server/endpoint"
	"github.com/apptoken/operator/internal/testing/servertest"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
)

// accessOf returns an access token for an application token of acme.
func accessOf(h *servertest.LoginServer, app string, more ...string) string {
	h.T.Helper()
	return h.TokenIn(grant(h, append([]string{"grant_type", "client_credentials", "client_id", "acme", "client_secret", app}, more...)...), "access_token")
}

// serviceToken returns a token of acme, whose roles hold the permissions and search.* from now on.
func serviceToken(h *servertest.LoginServer, permissions ...string) string {
	h.T.Helper()
	ceiling := grants.NewCeiling([]grants.Role{{Name: "service", Permissions: append([]string{"search.*"}, permissions...)}})
	h.TokenService.Ceilings["acme"] = ceiling
	h.Index.SetClient(verify.Client{Name: "acme", AccountID: 1001, Ceiling: ceiling})
	return h.CreateToken(management.Scope{Client: "acme"}, management.TokenSpec{Name: "service", Permissions: permissions})
}

// digestOf returns the digest of a token.
func digestOf(t *testing.T, text string) token.Digest {
	t.Helper()
	_, d, err := token.DigestOf(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestClientCredentials_IssuesAccessToken(t *testing.T) {
	h := servertest.NewLoginServer(t)
	app := h.AppToken("reader", "search.update")
	for name, x := range map[string]struct {
		parts []servertest.RequestOption
		scope string
	}{
		"in the body": {[]servertest.RequestOption{servertest.FormBody("grant_type", "client_credentials", "client_id", "acme", "client_secret", app)}, "search.query search.update"},
		"by Basic":    {[]servertest.RequestOption{asBasic("acme", app), servertest.FormBody("grant_type", "client_credentials")}, "search.query search.update"},
		"in JSON":     {[]servertest.RequestOption{servertest.JSONBody(`{"grant_type":"client_credentials","client_id":"acme","client_secret":"` + app + `"}`)}, "search.query search.update"},
		"narrowed":    {[]servertest.RequestOption{asBasic("acme", app), servertest.FormBody("grant_type", "client_credentials", "scope", "search.update")}, "search.update"},
	} {
		got := h.Call(http.MethodPost, "/oauth2/token", x.parts...)
		tok := h.TokenIn(got, "access_token")
		if said := h.Members(got); !strings.HasPrefix(tok, "atc_") || said["scope"] != x.scope || said["expires_in"] != time.Hour.Seconds() || said["refresh_token"] != nil || said["token_type"] != "Bearer" {
			t.Errorf("%s: %s", name, got.Body)
		}
		if !holds(h, tok, "search.update") || holds(h, tok, "search.query") != (name != "narrowed") {
			t.Errorf("%s: it holds something else", name)
		}
		if isReader := h.Call(http.MethodGet, "/verify?role=reader", servertest.Bearer(tok)).Status == http.StatusOK; isReader != (name != "narrowed") {
			t.Errorf("%s: it has the role: %t", name, isReader)
		}
	}
	if !strings.Contains(h.AuditLog.Text(), `"access.issued"`) {
		t.Error("no audit event")
	}
	h.CheckNoSecretInAudit()
}

// Every refusal gets one response, and writes nothing.
func TestClientCredentials_InvalidClientsAreRefusedAlike(t *testing.T) {
	h := servertest.NewLoginServer(t)
	umbrella := management.Scope{Client: "umbrella"}
	expired := h.CreateToken(management.Scope{Client: "acme"}, management.TokenSpec{Name: "expired", Lifetime: time.Second})
	ranged := h.CreateToken(management.Scope{Client: "acme"}, management.TokenSpec{Name: "ranged", SourceRanges: []string{"10.0.0.0/8"}})
	frozen := h.CreateToken(management.Scope{Client: "frozen"}, management.TokenSpec{Name: "frozen"})
	foreign := h.CreateToken(umbrella, management.TokenSpec{Name: "foreign"})
	app := h.AppToken("reader")
	revoked := h.AppToken("revoker")
	h.Call(http.MethodPost, "/oauth2/revoke", servertest.FormBody("token", revoked))
	access, loggedIn := accessOf(h, app), h.Login("alice")
	h.Clock.Advance(time.Second)
	before, want := h.Store.WriteCounts(), ""
	for name, x := range map[string][2]string{
		"an expired token":                  {"acme", expired},
		"one from elsewhere":                {"acme", ranged},
		"a suspended client":                {"frozen", frozen},
		"a token of another client":         {"acme", foreign},
		"a client of another token":         {"umbrella", app},
		"an unknown client":                 {"unknown", app},
		"no client":                         {"", app},
		"a revoked token":                   {"acme", revoked},
		"an access token":                   {"acme", access},
		"a login":                           {"acme", loggedIn},
		"an unknown token":                  {"acme", h.UnknownToken()},
		"no secret":                         {"acme", ""},
		"a text":                            {"acme", "x"},
		"the password of a user":            {"alice@example.com", servertest.Passwords["alice"]},
		"a token with something behind it ": {"acme", app + "x"},
	} {
		for how, parts := range map[string][]servertest.RequestOption{
			"Basic": {asBasic(x[0], x[1]), servertest.FormBody("grant_type", "client_credentials")},
			"body":  {servertest.FormBody("grant_type", "client_credentials", "client_id", x[0], "client_secret", x[1])},
		} {
			got := h.Call(http.MethodPost, "/oauth2/token", parts...)
			if want == "" {
				want = got.Body
			}
			if got.Status != http.StatusUnauthorized || h.Members(got)["error"] != "invalid_client" || got.Body != want || got.Header.Get("Www-Authenticate") != endpoint.BasicChallenge[0] {
				t.Errorf("%s, %s: %d %v %s", name, how, got.Status, got.Header, got.Body)
			}
		}
	}
	if h.Store.WriteCounts() != before {
		t.Error("something was written")
	}
	if !strings.Contains(want, "application token of the client named client_id") {
		t.Errorf("the error does not say what the secret must be: %s", want)
	}
	h.CheckNoSecretInAudit()
}

// A token of a user has a user to act for, and an access token has none.
func TestClientCredentials_TokenOfUserIsUnauthorized(t *testing.T) {
	h := servertest.NewLoginServer(t)
	mine := h.CreateToken(management.Scope{Client: "acme", User: "alice"}, management.TokenSpec{Name: "mine"})
	got := grant(h, "grant_type", "client_credentials", "client_id", "acme", "client_secret", mine)
	if got.Status != http.StatusBadRequest || h.Members(got)["error"] != "unauthorized_client" {
		t.Errorf("%d %s", got.Status, got.Body)
	}
}

// Whatever ends or lowers the application token counts for its access tokens at once [3.7].
func TestClientCredentials_AccessTokenEndsWithItsParent(t *testing.T) {
	for name, x := range map[string]struct {
		change func(h *servertest.LoginServer, r record.Record)
		status int
	}{
		"revoked": {func(h *servertest.LoginServer, _ record.Record) {
			h.Call(http.MethodPost, "/oauth2/revoke", servertest.FormBody("token", h.Secrets[len(h.Secrets)-2]))
		}, 401},
		"removed by the watch": {func(h *servertest.LoginServer, r record.Record) { h.Index.Remove(r.Digest) }, 401},
		"suspended":            {func(h *servertest.LoginServer, r record.Record) { r.Suspended = true; h.Index.Set(r) }, 401},
		"expired":              {func(h *servertest.LoginServer, r record.Record) { r.ExpiresAt = h.Clock.Now(); h.Index.Set(r) }, 401},
		"bound elsewhere": {func(h *servertest.LoginServer, r record.Record) {
			r.SourceRanges = []string{"10.0.0.0/8"}
			h.Index.Set(r)
		}, 401},
		"given less":           {func(h *servertest.LoginServer, r record.Record) { r.Roles = nil; h.Index.Set(r) }, 403},
		"of a disabled object": {func(h *servertest.LoginServer, r record.Record) { h.Index.Disable(r.Owner) }, 401},
		"of a suspended client": {func(h *servertest.LoginServer, _ record.Record) {
			h.Index.SetClient(verify.Client{Name: "acme", Suspended: true})
		}, 401},
		"of a deleted client": {func(h *servertest.LoginServer, _ record.Record) { h.Index.RemoveClient("acme") }, 401},
	} {
		t.Run(name, func(t *testing.T) {
			h := servertest.NewLoginServer(t)
			app := h.AppToken("reader")
			tok := accessOf(h, app)
			narrow := accessOf(h, app, "scope", "search.query")
			h.Secrets = append(h.Secrets, app, tok)
			if !holds(h, tok, "search.query") || !holds(h, narrow, "search.query") {
				t.Fatal("it is rejected before")
			}
			r, err := h.Store.Find(t.Context(), digestOf(t, app))
			if err != nil {
				t.Fatal(err)
			}
			x.change(h, r)
			for _, text := range []string{tok, narrow} {
				if got := h.Call(http.MethodGet, "/verify?permission=search.query", servertest.Bearer(text)); got.Status != x.status {
					t.Errorf("%d, want %d", got.Status, x.status)
				}
			}
		})
	}
}

func TestClientCredentials_EndsNoLaterThanItsParent(t *testing.T) {
	h := servertest.NewLoginServer(t)
	app := h.CreateToken(management.Scope{Client: "acme"}, management.TokenSpec{Name: "short", Roles: []string{"reader"}, Lifetime: 10 * time.Minute})
	got := grant(h, "grant_type", "client_credentials", "client_id", "acme", "client_secret", app)
	if said := h.Members(got)["expires_in"]; said != (10 * time.Minute).Seconds() {
		t.Errorf("it lives for %v s", said)
	}
	long := h.CreateToken(management.Scope{Client: "umbrella"}, management.TokenSpec{Name: "long"}) // its logins live for days
	if said := h.Members(grant(h, "grant_type", "client_credentials", "client_id", "umbrella", "client_secret", long))["expires_in"]; said != time.Hour.Seconds() {
		t.Errorf("it lives for %v s", said)
	}
}

func TestClientCredentials_NumberIsBounded(t *testing.T) {
	h := servertest.NewLoginServer(t)
	h.Endpoints.Budget = endpoint.NewBudget(endpoint.BudgetOptions{PerCaller: 1000, PerClient: 1000})
	app := h.AppToken("reader")
	var all []string
	for range login.MaxAccessTokens + 5 {
		h.Clock.Advance(time.Second)
		all = append(all, accessOf(h, app))
	}
	if n := h.Store.WriteCounts()[1]; n != login.MaxAccessTokens+1 {
		t.Errorf("%d records, want one and %d", n, login.MaxAccessTokens)
	}
	if h.IsValid(all[4]) || !h.IsValid(all[5]) || !h.IsValid(all[len(all)-1]) {
		t.Error("another one than the oldest has ended")
	}
}

func TestClientCredentials_BudgetIsThatOfApplicationToken(t *testing.T) {
	h := servertest.NewLoginServer(t)
	h.Endpoints.Budget = endpoint.NewBudget(endpoint.BudgetOptions{PerCaller: 1})
	app := h.AppToken("reader")
	statuses := map[int]int{}
	for range 6 {
		statuses[grant(h, "grant_type", "client_credentials", "client_id", "acme", "client_secret", app).Status]++
	}
	if statuses[200] != 4 || statuses[429] != 2 {
		t.Errorf("%v", statuses)
	}
}

// An access token does nothing that would outlive it.
func TestClientCredentials_AccessTokenExtendsNothing(t *testing.T) {
	h := servertest.NewLoginServer(t)
	app := serviceToken(h, "sec.application-token.non-expiring.create", management.PermissionEscalate, "search.query")
	tok := accessOf(h, app)
	for name, got := range map[string]servertest.Response{
		"rotates its parent":        h.Call(http.MethodPost, "/application-tokens/v1/rotate", servertest.Bearer(tok)),
		"makes one without an end":  h.Call(http.MethodPut, servertest.PathAcmeTokens+"/new", servertest.Bearer(tok), servertest.JSONBody(`{"permissions":["search.query"]}`)),
		"makes one of a later end":  h.Call(http.MethodPut, servertest.PathAcmeTokens+"/new", servertest.Bearer(tok), servertest.JSONBody(`{"permissions":["search.query"],"lifetime":"2h"}`)),
		"makes one of a user":       h.Call(http.MethodPut, servertest.PathUserTokens+"/new", servertest.Bearer(tok)),
		"gets another access token": grant(h, "grant_type", "client_credentials", "client_id", "acme", "client_secret", tok),
		"logs a user in":            grant(h, servertest.PasswordGrant("alice", "client_id", "acme", "client_secret", tok)...),
		"logs out":                  h.Call(http.MethodGet, "/security/rest/token/logout", servertest.Bearer(tok)),
		"changes its account":       h.Call(http.MethodPost, "/auth/masquerade", servertest.Bearer(tok), servertest.FormBody("account_id", "2002")),
	} {
		if got.Status != http.StatusForbidden && got.Status != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
	}
	if !h.IsValid(tok) || !h.IsValid(app) {
		t.Error("one of them has ended")
	}
}

func TestClientCredentials_AccessTokenIsIntrospectedAndRevoked(t *testing.T) {
	h := servertest.NewLoginServer(t)
	app := serviceToken(h, "sec.token.introspect", "search.query")
	tok := accessOf(h, app, "scope", "search.query")
	introspect := func() servertest.Response {
		return h.Call(http.MethodPost, "/oauth2/introspect", asBasic("acme", app), servertest.FormBody("token", tok))
	}
	if said := h.Members(introspect()); said["active"] != true || said["scope"] != "search.query" || said["apptoken_kind"] != "Access" || said["client_id"] != "acme" || said["apptoken_roles"] != nil {
		t.Errorf("%v", said)
	}
	if got := h.Call(http.MethodPost, "/oauth2/revoke", asBasic("acme", ""), servertest.FormBody("token", tok)); got.Status != http.StatusOK {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	if got := introspect(); got.Body != "{\"active\":false}\n" || !h.IsValid(app) {
		t.Errorf("%s", got.Body)
	}
	h.CheckNoSecretInAudit()
}
