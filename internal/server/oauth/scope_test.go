package oauth_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/testing/servertest"
)

// grant asks the token endpoint with these fields.
func grant(h *servertest.LoginServer, fields ...string) servertest.Response {
	return h.Call(http.MethodPost, "/oauth2/token", servertest.FormBody(fields...))
}

// holds reports whether a token holds a permission.
func holds(h *servertest.LoginServer, tok, permission string) bool {
	return h.Call(http.MethodGet, "/verify?permission="+permission, servertest.Bearer(tok)).Status == http.StatusOK
}

// Alice holds search.*, sec.continuous.rest and sec.application-token.* at acme.
func TestScope_NarrowsLogin(t *testing.T) {
	h := servertest.NewLoginServer(t)
	got := grant(h, servertest.PasswordGrant("alice", "scope", "search.query sec.continuous.rest")...)
	tok := h.TokenIn(got, "access_token")
	if said := h.Members(got)["scope"]; said != "search.query sec.continuous.rest" {
		t.Errorf("the scope is %q", said)
	}
	for permission, want := range map[string]bool{
		"search.query": true, "sec.continuous.rest": true, "search.update": false, "search.*": false, "sec.application-token.view": false,
	} {
		if holds(h, tok, permission) != want {
			t.Errorf("%s: held is %t", permission, !want)
		}
	}
	if h.IsValid(tok) != true {
		t.Error("it is rejected without a requirement")
	}
	verified := h.Call(http.MethodGet, "/verify?role=client~primary", servertest.Bearer(tok))
	if verified.Status != http.StatusForbidden {
		t.Errorf("it holds a role: %d", verified.Status)
	}
	h.CheckNoSecretInAudit()
}

func TestScope_InvalidOnesAreRefused(t *testing.T) {
	h := servertest.NewLoginServer(t)
	app := h.AppToken("reader")
	refresh := h.TokenIn(grant(h, servertest.PasswordGrant("alice")...), "refresh_token")
	before := h.Store.WriteCounts()
	var many []string
	for i := range 129 {
		many = append(many, fmt.Sprintf("search.p%d", i))
	}
	for name, scope := range map[string]string{
		"unknown":                       "openid",
		"one of two is unknown":         "search.query profile",
		"not held":                      "sec.token.revoke",
		"wider than what is held":       "sec.*",
		"everything":                    "*",
		"twice":                         "search.query search.query",
		"twice, apart":                  "search.query search.update search.query",
		"two spaces":                    "search.query  search.update",
		"a space at the end":            "search.query ",
		"a space alone":                 " ",
		"a tab":                         "search.query\tsearch.update",
		"a line break":                  "search.query\nsearch.update",
		"a comma":                       "search.query,search.update",
		"a quote":                       `search.query"`,
		"a backslash":                   `search\query`,
		"not ASCII":                     "search.über",
		"a wildcard in the middle":      "search.*.query",
		"a permission that is too long": "search." + strings.Repeat("q", 300),
		"a permission of 129 bytes":     "search." + strings.Repeat("q", 129-len("search.")),
		"too many":                      strings.Join(many, " "),
		"too many bytes":                strings.Repeat("search.query ", 800) + "search.query",
	} {
		for kind, fields := range map[string][]string{
			"password": servertest.PasswordGrant("alice", "scope", scope),
			"refresh":  {"grant_type", "refresh_token", "refresh_token", refresh, "scope", scope},
			"client":   {"grant_type", "client_credentials", "client_id", "acme", "client_secret", app, "scope", scope},
		} {
			got := grant(h, fields...)
			if got.Status != http.StatusBadRequest || h.Members(got)["error"] != "invalid_scope" || h.Members(got)["field"] != "scope" {
				t.Errorf("%s, %s: %d %s", name, kind, got.Status, got.Body)
			}
		}
	}
	for name, parts := range map[string]servertest.RequestOption{
		"the field twice":   servertest.FormBody(servertest.PasswordGrant("alice", "scope", "search.query", "scope", "search.query")...),
		"a list in JSON":    servertest.JSONBody(`{"grant_type":"password","username":"alice@example.com","password":"x","scope":["search.query"]}`),
		"a number in JSON":  servertest.JSONBody(`{"grant_type":"password","username":"alice@example.com","password":"x","scope":1}`),
		"an object in JSON": servertest.JSONBody(`{"grant_type":"password","username":"alice@example.com","password":"x","scope":{}}`),
	} {
		if got := h.Call(http.MethodPost, "/oauth2/token", parts); got.Status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
	}
	if h.Store.WriteCounts() != before {
		t.Error("something was written")
	}
	if got := grant(h, "grant_type", "refresh_token", "refresh_token", refresh); got.Status != http.StatusOK {
		t.Errorf("a scope that is refused uses up the refresh token: %d %s", got.Status, got.Body)
	}
	h.CheckNoSecretInAudit()
}

func TestScope_EmptyIsNone(t *testing.T) {
	h := servertest.NewLoginServer(t)
	without := grant(h, servertest.PasswordGrant("alice")...)
	empty := grant(h, servertest.PasswordGrant("alice", "scope", "")...)
	if want := "search.* sec.application-token.* sec.continuous.rest"; h.Members(without)["scope"] != want || h.Members(empty)["scope"] != want {
		t.Errorf("%s and %s", without.Body, empty.Body)
	}
	if tok := h.TokenIn(empty, "access_token"); h.Call(http.MethodGet, "/verify?role=client~primary", servertest.Bearer(tok)).Status != http.StatusOK {
		t.Error("the role is gone")
	}
}

// RFC 6749, section 6: a refresh narrows the new access token, and the refresh token keeps the
// scope of its session.
func TestScope_RefreshKeepsScopeOfSession(t *testing.T) {
	for name, x := range map[string]struct {
		first, narrower, over string
		all                   string
	}{
		"of a narrowed session":           {"search.query search.update", "search.query", "sec.continuous.rest", "search.query search.update"},
		"of a session that is not":        {"", "search.query", "sec.token.revoke", "search.* sec.application-token.* sec.continuous.rest"},
		"of a session of a wildcard":      {"search.*", "search.query", "sec.continuous.rest", "search.*"},
		"by the scope that it has anyway": {"search.query", "search.query", "search.*", "search.query"},
	} {
		t.Run(name, func(t *testing.T) {
			h := servertest.NewLoginServer(t)
			next := grant(h, servertest.PasswordGrant("alice", "scope", x.first)...)
			refresh := func(scope string) servertest.Response {
				h.Clock.Advance(time.Minute)
				return grant(h, "grant_type", "refresh_token", "refresh_token", h.TokenIn(next, "refresh_token"), "scope", scope)
			}
			if got := refresh(x.over); got.Status != http.StatusBadRequest || h.Members(got)["error"] != "invalid_scope" {
				t.Errorf("%s: %d %s", x.over, got.Status, got.Body)
			}
			for _, step := range []struct{ scope, want string }{{x.narrower, x.narrower}, {x.narrower, x.narrower}, {"", x.all}, {x.narrower, x.narrower}, {"", x.all}} {
				next = refresh(step.scope)
				if said := h.Members(next)["scope"]; next.Status != http.StatusOK || said != step.want {
					t.Fatalf("asked for %q: %d %s, want %q", step.scope, next.Status, next.Body, step.want)
				}
				tok := h.TokenIn(next, "access_token")
				if holds(h, tok, "search.query") != true || holds(h, tok, "search.update") != (step.want != "search.query") {
					t.Errorf("asked for %q: it holds something else than %q", step.scope, step.want)
				}
			}
			isRole := h.Call(http.MethodGet, "/verify?role=client~primary", servertest.Bearer(h.TokenIn(next, "access_token"))).Status == http.StatusOK
			if isRole != (x.first == "") {
				t.Errorf("it holds a role: %t", isRole)
			}
			h.CheckNoSecretInAudit()
		})
	}
}

// A scope is granted for one account, to a holder who has not shown the refresh token.
func TestScope_NarrowedLoginKeepsItsAccount(t *testing.T) {
	h := servertest.NewLoginServer(t)
	scoped := grant(h, servertest.PasswordGrant("alice", "client_id", "umbrella", "scope", "search.query")...)
	first := grant(h, servertest.PasswordGrant("alice", "client_id", "umbrella")...)
	h.Clock.Advance(time.Minute)
	narrow := grant(h, "grant_type", "refresh_token", "refresh_token", h.TokenIn(first, "refresh_token"), "scope", "search.query")
	for name, login := range map[string]servertest.Response{"narrowed by its grant": scoped, "narrowed by a refresh": narrow} {
		tok, before := h.TokenIn(login, "access_token"), h.Store.WriteCounts()
		moved := h.Call(http.MethodPost, "/auth/masquerade", servertest.Bearer(tok), servertest.FormBody("account_id", "1001"))
		if moved.Status != http.StatusForbidden || !strings.Contains(moved.Body, "scope") || h.Store.WriteCounts() != before || !h.IsValid(tok) {
			t.Errorf("%s: %d %s", name, moved.Status, moved.Body)
		}
	}
	whole := grant(h, "grant_type", "refresh_token", "refresh_token", h.TokenIn(narrow, "refresh_token"))
	if moved := h.Call(http.MethodPost, "/auth/masquerade", servertest.Bearer(h.TokenIn(whole, "access_token")), servertest.FormBody("account_id", "1001")); moved.Status != http.StatusOK {
		t.Errorf("a login that is not narrowed: %d", moved.Status)
	}
}

// A login loses what its user loses, even for a while.
func TestScope_IsWithinWhatUserHoldsNow(t *testing.T) {
	h := servertest.NewLoginServer(t)
	tok := h.TokenIn(grant(h, servertest.PasswordGrant("dave", "scope", "search.query")...), "access_token")
	u, _ := h.Directory.User("dave")
	u.Suspended = true
	h.IndexUser(u)
	if h.IsValid(tok) {
		t.Error("the user is suspended")
	}
	u.Suspended = false
	h.IndexUser(u)
	if !holds(h, tok, "search.query") {
		t.Error("the user is back")
	}
}

// A token of a user holds all that the user holds.
func TestScope_NarrowedLoginMakesNoTokenOfUser(t *testing.T) {
	h := servertest.NewLoginServer(t)
	scoped := h.TokenIn(grant(h, servertest.PasswordGrant("alice", "scope", "sec.application-token.non-expiring.create")...), "access_token")
	whole := h.TokenIn(grant(h, servertest.PasswordGrant("alice")...), "access_token")
	name := servertest.PathUserTokens + "/mine"
	if got := h.Call(http.MethodPut, name, servertest.Bearer(scoped)); got.Status != http.StatusForbidden || !strings.Contains(got.Body, "scope") {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	h.TokenIn(h.Call(http.MethodPut, name, servertest.Bearer(whole)), "data")
	for _, x := range []struct{ method, path string }{{http.MethodPost, name + "/rotate"}, {http.MethodPost, name + "/clone"}, {http.MethodPatch, name}} {
		if got := h.Call(x.method, x.path, servertest.Bearer(scoped), servertest.JSONBody(`{}`)); got.Status != http.StatusForbidden {
			t.Errorf("%s %s: %d %s", x.method, x.path, got.Status, got.Body)
		}
	}
	if got := h.Call(http.MethodGet, name, servertest.Bearer(scoped)); got.Status != http.StatusOK {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	// Another scope does not hold the permission, which a user without a scope does not need.
	other := h.TokenIn(grant(h, servertest.PasswordGrant("alice", "scope", "search.query")...), "access_token")
	for _, x := range []struct{ method, path string }{{http.MethodGet, servertest.PathUserTokens}, {http.MethodGet, name}, {http.MethodDelete, name}} {
		if got := h.Call(x.method, x.path, servertest.Bearer(other)); got.Status != http.StatusForbidden || !strings.Contains(got.Body, "insufficient_scope") {
			t.Errorf("another scope, %s %s: %d %s", x.method, x.path, got.Status, got.Body)
		}
	}
	if got := h.Call(http.MethodGet, name, servertest.Bearer(whole)); got.Status != http.StatusOK {
		t.Errorf("the token is gone: %d", got.Status)
	}
	// Tokens of the client are limited to what the caller holds, as for every caller.
	client := servertest.PathAcmeTokens + "/ci"
	for body, want := range map[string]int{
		`{"permissions":["search.query"]}`: http.StatusForbidden, `{"roles":["reader"]}`: http.StatusForbidden,
		`{"permissions":["sec.application-token.non-expiring.create"]}`: http.StatusOK,
	} {
		if got := h.Call(http.MethodPut, client, servertest.Bearer(scoped), servertest.JSONBody(body)); got.Status != want {
			t.Errorf("%s: %d %s", body, got.Status, got.Body)
		} else if want == http.StatusOK {
			h.TokenIn(got, "data")
		}
	}
	h.CheckNoSecretInAudit()
}

// A kube-apiserver goes by the name and the groups of a TokenReview, and knows no scope.
func TestScope_NarrowedTokenIsNotForKubernetes(t *testing.T) {
	h := servertest.NewLoginServer(t)
	app := h.AppToken("reader")
	for name, x := range map[string]struct {
		fields []string
		want   string
	}{
		"a login":                 {servertest.PasswordGrant("alice"), `"authenticated":true`},
		"a narrowed login":        {servertest.PasswordGrant("alice", "scope", "search.query"), `"status":{"user":{}}`},
		"an access token":         {[]string{"grant_type", "client_credentials", "client_id", "acme", "client_secret", app}, `"authenticated":true`},
		"a narrowed access token": {[]string{"grant_type", "client_credentials", "client_id", "acme", "client_secret", app, "scope", "search.query"}, `"status":{"user":{}}`},
	} {
		tok := h.TokenIn(grant(h, x.fields...), "access_token")
		w := httptest.NewRecorder()
		h.WebhookHandler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/tokenreview", strings.NewReader(
			`{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","spec":{"token":"`+tok+`"}}`)))
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), x.want) {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}
