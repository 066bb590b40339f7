package oauth_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/management"
	"github.com/apptoken/operator/internal/testing/servertest"
)

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
			h := servertest.NewVectorServer(t)
			before := len(h.Store.Records)
			got := h.Post("/oauth2/revoke", x.by, servertest.TokenForm(h.Tokens[x.what]))
			if got.Status != x.status {
				t.Fatalf("%d %s", got.Status, got.Body)
			}
			_, stored := h.Store.Records[h.Fixture.Records[x.what].Digest]
			if ended := !stored && len(h.Store.Records) == before-1; ended != x.ends {
				t.Errorf("ended: %t", ended)
			}
			after := h.Do(http.MethodGet, "/verify", http.Header{"Authorization": {"Bearer " + h.Tokens[x.what]}}, "")
			if x.ends && after.Status != http.StatusUnauthorized {
				t.Errorf("it is accepted after it was revoked: %d", after.Status)
			}
			if said := strings.Contains(h.AuditLog.Text(), `"token.revoked"`); said != x.ends {
				t.Errorf("audit: %s", h.AuditLog.Text())
			}
			h.CheckNoLeak("the audit log", h.AuditLog.Text())
			h.CheckNoLeak("the answer", got.Body)
		})
	}
}

// Row 12: a revocation that was not stored is not reported as done.
func TestRevoke_FailedDeletionIsUnavailable(t *testing.T) {
	h := servertest.NewVectorServer(t)
	h.Store.Fail = errors.New("the store is away")
	got := h.Post("/oauth2/revoke", "", servertest.TokenForm(h.Tokens["indexer"]))
	if got.Status != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" {
		t.Errorf("%d %v", got.Status, got.Header)
	}
	if strings.Contains(h.AuditLog.Text(), `"token.revoked"`) {
		t.Errorf("audit: %s", h.AuditLog.Text())
	}
	if after := h.Do(http.MethodGet, "/verify", http.Header{"Authorization": {"Bearer " + h.Tokens["indexer"]}}, ""); after.Status != http.StatusOK {
		t.Errorf("%d", after.Status)
	}
}

// The API server is unreachable and the token is not in the index, so the server cannot determine
// whether it is gone.
func TestRevoke_UnreachableStoreIsUnavailable(t *testing.T) {
	h := servertest.NewVectorServer(t)
	h.Store.Fail = errors.New("the store is away")
	for path, by := range map[string]string{"/oauth2/revoke": "", "/oauth2/introspect": "root"} {
		if got := h.Post(path, by, servertest.TokenForm(h.Tokens["unlisted"])); got.Status != http.StatusServiceUnavailable {
			t.Errorf("%s: %d %s", path, got.Status, got.Body)
		}
	}
	if got := h.Do(http.MethodGet, "/verify", http.Header{"Authorization": {"Bearer " + h.Tokens["unlisted"]}}, ""); got.Status != http.StatusUnauthorized {
		t.Errorf("/verify: %d", got.Status)
	}
}

func TestRevoke_RefreshTokenEndsSessionOfOwnClient(t *testing.T) { // [row 12] [row 13]
	h := servertest.NewLoginServer(t)
	revoker := h.CreateToken(management.Scope{Client: "acme"}, management.TokenSpec{Name: "revoker", Permissions: []string{"sec.token.revoke"}})
	foreign := h.CreateToken(management.Scope{Client: "umbrella"}, management.TokenSpec{Name: "revoker", Permissions: []string{"sec.token.revoke"}})
	first := h.Call(http.MethodPost, "/oauth2/token", servertest.FormBody(servertest.PasswordGrant("alice")...))
	tok, refresh := h.TokenIn(first, "access_token"), h.TokenIn(first, "refresh_token")
	for _, x := range []struct {
		by   string
		good bool
	}{{foreign, true}, {revoker, false}, {revoker, false}} {
		if got := h.Call(http.MethodPost, "/oauth2/revoke", servertest.Bearer(x.by), servertest.FormBody("token", refresh)); got.Status != http.StatusOK || got.Body != "{}\n" {
			t.Errorf("%d %s", got.Status, got.Body)
		}
		if h.IsValid(tok) != x.good {
			t.Errorf("it is good: %v, want %v", h.IsValid(tok), x.good)
		}
	}
	if got := h.Call(http.MethodPost, "/auth/refresh", servertest.FormBody("refresh_token", refresh)); got.Status != http.StatusUnauthorized {
		t.Errorf("it is refreshed: %d", got.Status)
	}
	h.CheckNoSecretInAudit()
}

func TestRevoke_ExpiredRefreshableLoginIsRevoked(t *testing.T) { // [row 12]
	h := servertest.NewLoginServer(t)
	first := h.Call(http.MethodPost, "/oauth2/token", servertest.FormBody(servertest.PasswordGrant("alice")...))
	tok, refresh := h.TokenIn(first, "access_token"), h.TokenIn(first, "refresh_token")
	h.Clock.Advance(2 * time.Hour)
	if got := h.Call(http.MethodPost, "/oauth2/revoke", servertest.FormBody("token", tok)); got.Status != http.StatusOK {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	if got := h.Call(http.MethodPost, "/auth/refresh", servertest.FormBody("refresh_token", refresh)); got.Status != http.StatusUnauthorized {
		t.Errorf("it is refreshed: %d %s", got.Status, got.Body)
	}
	h.CheckNoSecretInAudit()
}

// The response, and the reads for it, are the same for another client's token as for an unknown
// one.
func TestRevoke_OtherClientsTokenIsLikeNone(t *testing.T) {
	h := servertest.NewLoginServer(t)
	revoker := h.CreateToken(management.Scope{Client: "acme"}, management.TokenSpec{Name: "revoker", Roles: []string{"revoker"}})
	foreign := h.CreateToken(management.Scope{Client: "umbrella"}, management.TokenSpec{Name: "foreign"})
	other := h.Call(http.MethodPost, "/oauth2/revoke", servertest.Bearer(revoker), servertest.FormBody("token", foreign))
	none := h.Call(http.MethodPost, "/oauth2/revoke", servertest.Bearer(revoker), servertest.FormBody("token", h.UnknownToken()))
	if other.Status != 200 || none.Status != 200 || other.Body != none.Body || !h.IsValid(foreign) {
		t.Errorf("%d %s and %d %s", other.Status, other.Body, none.Status, none.Body)
	}
	h.CheckNoSecretInAudit()
}

// RFC 7009, section 2.1: a client revokes what was issued to it, and libraries authenticate the
// client then. A public client has no secret, in whatever form it says so.
func TestRevoke_ByClientThatPresentsItsToken(t *testing.T) {
	for name, x := range map[string]struct {
		by   func(app, foreign string) []servertest.RequestOption
		ends bool
	}{
		"a client by Basic": {func(app, _ string) []servertest.RequestOption {
			return []servertest.RequestOption{asBasic("acme", app)}
		}, true},
		"a public client by Basic":   {func(_, _ string) []servertest.RequestOption { return []servertest.RequestOption{asBasic("my-app", "")} }, true},
		"a client that names itself": {func(_, _ string) []servertest.RequestOption { return nil }, true},
		"a client of another name": {func(app, _ string) []servertest.RequestOption {
			return []servertest.RequestOption{asBasic("umbrella", app)}
		}, false},
		"another client": {func(_, foreign string) []servertest.RequestOption {
			return []servertest.RequestOption{asBasic("umbrella", foreign)}
		}, false},
		"a bearer token": {func(app, _ string) []servertest.RequestOption {
			return []servertest.RequestOption{servertest.Bearer(app)}
		}, false},
	} {
		h := servertest.NewLoginServer(t)
		app := h.AppToken("reader")
		foreign := h.CreateToken(management.Scope{Client: "umbrella"}, management.TokenSpec{Name: "foreign"})
		access := accessOf(h, app)
		loggedIn := grant(h, servertest.PasswordGrant("alice")...)
		for kind, text := range map[string]string{"access": access, "refresh": h.TokenIn(loggedIn, "refresh_token")} {
			for encoding, body := range map[string]servertest.RequestOption{
				"form": servertest.FormBody("token", text, "client_id", "my-app", "client_secret", ""), "JSON": servertest.JSONBody(`{"token":"` + text + `","client_id":"my-app"}`),
			} {
				got := h.Call(http.MethodPost, "/oauth2/revoke", append(x.by(app, foreign), body)...)
				if (got.Status == http.StatusOK) != (x.ends || name == "another client") {
					t.Errorf("%s, %s in %s: %d %s", name, kind, encoding, got.Status, got.Body)
				}
			}
		}
		if h.IsValid(access) == x.ends || h.IsValid(h.TokenIn(loggedIn, "access_token")) == x.ends {
			t.Errorf("%s: they have ended: %t", name, !x.ends)
		}
		h.CheckNoSecretInAudit()
	}
}

// A public client does not introspect.
func TestIntrospect_PublicClientIsUnauthenticated(t *testing.T) {
	h := servertest.NewLoginServer(t)
	app := h.AppToken("reader")
	for name, parts := range map[string][]servertest.RequestOption{
		"by Basic":          {asBasic("acme", ""), servertest.FormBody("token", app)},
		"by its name":       {servertest.FormBody("token", app, "client_id", "acme")},
		"in JSON":           {servertest.JSONBody(`{"token":"` + app + `","client_id":"acme"}`)},
		"with empty fields": {servertest.FormBody("token", app, "client_id", "", "client_secret", "")},
	} {
		got := h.Call(http.MethodPost, "/oauth2/introspect", parts...)
		if got.Status != http.StatusUnauthorized || h.Members(got)["error"] != "invalid_client" || (got.Header.Get("Www-Authenticate")[:5] == "Basic") != (name == "by Basic") {
			t.Errorf("%s: %d %v %s", name, got.Status, got.Header, got.Body)
		}
	}
}
