package authz_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	auditlog "github.com/apptoken/operator/internal/audit"
	"github.com/apptoken/operator/internal/testing/servertest"
)

const (
	bearerChallenge = `Bearer realm="apptoken"`
	basicChallenge  = `Basic realm="apptoken", charset="UTF-8"`
)

// newBasicServer returns a server whose client acme allows Basic.
func newBasicServer(t *testing.T) *servertest.LoginServer {
	t.Helper()
	h := servertest.NewLoginServer(t)
	h.AllowBasic("acme", true)
	return h
}

func TestBasic_ChallengesFollowCallerAndClients(t *testing.T) {
	h := servertest.NewLoginServer(t)
	wrong := servertest.Header("Authorization", "Basic "+servertest.BasicCredentials("dave", "x"))
	script := servertest.Header("Sec-Fetch-Mode", "cors")
	otherSite := servertest.Header("Sec-Fetch-Site", "cross-site")
	for name, x := range map[string]struct {
		parts   []servertest.RequestOption
		allowed []string // challenges if a client allows Basic
		none    string   // challenge if none does
	}{
		"nothing":                        {nil, []string{bearerChallenge, basicChallenge}, bearerChallenge},
		"a browser that goes there":      {[]servertest.RequestOption{servertest.Header("Sec-Fetch-Mode", "navigate"), servertest.Header("Sec-Fetch-Site", "none")}, []string{bearerChallenge, basicChallenge}, bearerChallenge},
		"a script":                       {[]servertest.RequestOption{script}, []string{bearerChallenge}, bearerChallenge},
		"another site":                   {[]servertest.RequestOption{otherSite}, []string{bearerChallenge}, bearerChallenge},
		"a wrong password":               {[]servertest.RequestOption{wrong}, []string{basicChallenge}, bearerChallenge},
		"a wrong password, by a script":  {[]servertest.RequestOption{wrong, script}, []string{bearerChallenge}, bearerChallenge},
		"what cannot be read":            {[]servertest.RequestOption{servertest.Header("Authorization", "Basic !")}, []string{basicChallenge}, bearerChallenge},
		"a password from another site":   {[]servertest.RequestOption{servertest.Basic("alice"), otherSite}, []string{bearerChallenge}, bearerChallenge},
		"a token that is not accepted":   {[]servertest.RequestOption{servertest.Bearer(h.UnknownToken())}, []string{bearerChallenge + `, error="invalid_token"`}, bearerChallenge + `, error="invalid_token"`},
		"such a token, and a right name": {[]servertest.RequestOption{servertest.SecurityToken(h.UnknownToken()), servertest.Basic("alice")}, []string{bearerChallenge + `, error="invalid_token"`}, bearerChallenge + `, error="invalid_token"`},
	} {
		for allows, want := range map[bool][]string{true: x.allowed, false: {x.none}} {
			h.AllowBasic("acme", allows)
			got := h.Call(http.MethodGet, "/verify", x.parts...)
			if got.Status != http.StatusUnauthorized || !slices.Equal(got.Header["Www-Authenticate"], want) {
				t.Errorf("%s, allowed %t: %d %q", name, allows, got.Status, got.Header["Www-Authenticate"])
			}
		}
	}
	h.CheckNoSecretInAudit()
}

// Without a client that allows it, Basic is ignored, like every other scheme.
func TestBasic_IsIgnoredUnlessAllowed(t *testing.T) {
	h := servertest.NewLoginServer(t)
	for range 2 {
		if got := h.Call(http.MethodGet, "/verify", servertest.Basic("alice")); got.Status != http.StatusUnauthorized || strings.Contains(got.Body, "password") {
			t.Errorf("%d %s", got.Status, got.Body)
		}
		h.AllowBasic("frozen", true) // it is suspended
	}
	h.AllowBasic("umbrella", true) // it is not the client of alice's default account
	if got := h.Call(http.MethodGet, "/verify", servertest.Basic("alice")); got.Status != http.StatusUnauthorized {
		t.Errorf("at a client that forbids it: %d %s", got.Status, got.Body)
	}
	if got := h.Call(http.MethodGet, "/verify?account_id=2002", servertest.Basic("alice")); got.Status != http.StatusOK || got.Header.Get("X-Apptoken-Client") != "umbrella" {
		t.Errorf("at a client that allows it: %d %v", got.Status, got.Header)
	}
}

func TestBasic_IdentityOfUser(t *testing.T) {
	h := newBasicServer(t)
	got := h.Call(http.MethodGet, "/verify?permission=search.query", servertest.Basic("alice"))
	for name, want := range map[string]string{
		"X-Apptoken-Subject": "alice", "X-Apptoken-User": "alice", "X-Apptoken-Client": "acme", "X-Apptoken-Kind": "Password", "X-Apptoken-Token-Id": "",
		"X-Apptoken-Roles": "client~primary,developer", "X-Apptoken-Permissions": "search.*,sec.application-token.*,sec.continuous.rest",
	} {
		if values, there := got.Header[name]; !there || len(values) != 1 || values[0] != want {
			t.Errorf("%s is %q, want %q", name, values, want)
		}
	}
}

// A program presents a name and a password with each request, more often than a user may log in.
func TestBasic_RecentPasswordAnswersEachRequest(t *testing.T) {
	h := newBasicServer(t)
	for i := range 300 {
		if got := h.Call(http.MethodGet, "/verify", servertest.Basic("alice")); got.Status != http.StatusOK {
			t.Fatalf("request %d: %d %s", i, got.Status, got.Body)
		}
	}
}

// Rows 2 and 11: what ends the user, the password or the account ends a recent check too.
func TestBasic_RecentPasswordEndsWithUser(t *testing.T) {
	for name, change := range map[string]func(*servertest.LoginServer){
		"the user is suspended": func(h *servertest.LoginServer) {
			u, _ := h.Directory.User("alice")
			u.Suspended = true
			h.Directory.SetUser(u)
			h.IndexUser(u)
		},
		"the password changes": func(h *servertest.LoginServer) {
			u, _ := h.Directory.User("alice")
			other, _ := h.Directory.User("dave")
			u.Password, u.Credential = other.Password, "two"
			h.Directory.SetUser(u)
			h.IndexUser(u)
		},
		"the user is deleted": func(h *servertest.LoginServer) {
			h.Directory.RemoveUser("alice")
			h.Index.RemoveUser("alice")
		},
		"the user is deleted in the index first": func(h *servertest.LoginServer) { h.Index.RemoveUser("alice") },
		"the user is made again": func(h *servertest.LoginServer) {
			u, _ := h.Directory.User("alice")
			u.UID = "another"
			h.IndexUser(u)
		},
		"the client is deleted":    func(h *servertest.LoginServer) { h.Index.RemoveClient("acme") },
		"the client forbids Basic": func(h *servertest.LoginServer) { h.AllowBasic("acme", false); h.AllowBasic("umbrella", true) },
	} {
		h := newBasicServer(t)
		if got := h.Call(http.MethodGet, "/verify", servertest.Basic("alice")); got.Status != http.StatusOK {
			t.Fatalf("%s: %d %s", name, got.Status, got.Body)
		}
		change(h)
		if got := h.Call(http.MethodGet, "/verify", servertest.Basic("alice")); got.Status != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
	}
}

// Gateways know 401 and 403. Beyond the limits a caller gets a 401, also with the right password.
func TestBasic_LimitsAreThoseOfLogins(t *testing.T) {
	h := newBasicServer(t)
	wrong := servertest.Header("Authorization", "Basic "+servertest.BasicCredentials("dave", "wrong "+servertest.PasswordMark))
	for range 10 {
		if got := h.Call(http.MethodGet, "/verify", wrong); got.Status != http.StatusUnauthorized || got.Header.Get("Retry-After") != "" {
			t.Fatalf("%d %v %s", got.Status, got.Header, got.Body)
		}
	}
	for name, by := range map[string]servertest.RequestOption{"a wrong password": wrong, "the right one": servertest.Basic("dave")} {
		got := h.Call(http.MethodGet, "/verify", by)
		if got.Status != http.StatusUnauthorized || got.Header.Get("Retry-After") != "6" || got.Header.Get("Www-Authenticate") != basicChallenge {
			t.Errorf("%s: %d %v %s", name, got.Status, got.Header, got.Body)
		}
	}
	if got := h.Call(http.MethodPost, "/auth/login", servertest.FormBody(servertest.CredentialFields("dave")...)); got.Status != http.StatusTooManyRequests {
		t.Errorf("a login: %d %s", got.Status, got.Body)
	}
	lines := h.AuditLog.Events(t, auditlog.CredentialRefused)
	if len(lines) == 0 || lines[0]["endpoint"] != "verify" || lines[0]["verdict"] != "PasswordRefused" || lines[0]["user"] != "dave" {
		t.Errorf("%v", lines)
	}
	h.CheckNoSecretInAudit()
}

// An unknown username may be a password in the wrong field.
func TestBasic_AuditNamesNoUnknownUser(t *testing.T) {
	h := newBasicServer(t)
	for _, path := range []string{"/verify", servertest.PathAcmeTokens} {
		h.Call(http.MethodGet, path, servertest.Header("Authorization", "Basic "+servertest.BasicCredentials(servertest.PasswordMark, "x")))
	}
	if text := h.AuditLog.Text(); strings.Contains(text, servertest.PasswordMark) || strings.Contains(text, `"user"`) || !strings.Contains(text, "PasswordRefused") {
		t.Errorf("%s", text)
	}
}

func TestBasic_StaleReplicaDecidesNothing(t *testing.T) {
	h := newBasicServer(t)
	if got := h.Call(http.MethodGet, "/verify", servertest.Basic("alice")); got.Status != http.StatusOK {
		t.Fatalf("%d %s", got.Status, got.Body)
	}
	h.Verifier.MarkStale()
	for name, by := range map[string]servertest.RequestOption{
		"a recent password": servertest.Basic("alice"), "a wrong one": servertest.Header("Authorization", "Basic "+servertest.BasicCredentials("dave", "x")),
		"a token": servertest.Header("Authorization", "Basic "+servertest.BasicCredentials("acme", h.UnknownToken())),
	} {
		if got := h.Call(http.MethodGet, "/verify", by); got.Status != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
	}
}

func TestBasic_ExtAuthzRemovesCredentialAndNamesBothSchemes(t *testing.T) {
	h := servertest.NewVectorServer(t)
	client := h.DialExtAuthz()
	check := func(headers map[string]string) *authv3.CheckResponse {
		t.Helper()
		req := servertest.CheckRequestWith(headers)
		req.Attributes.ContextExtensions = map[string]string{"apptoken.credential": "remove"}
		got, err := client.Check(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	ok := check(map[string]string{"authorization": "Basic " + servertest.BasicCredentials("alice@example.com", "alice: a password")}).GetOkResponse()
	if ok == nil || !slices.Contains(ok.GetHeadersToRemove(), "Authorization") || !slices.Contains(ok.GetHeadersToRemove(), "X-Apptoken-Token-Id") {
		t.Errorf("%v", ok)
	}
	cookie := check(map[string]string{"cookie": "a=b; " + servertest.RememberMeCookie + h.Tokens["indexer"]}).GetOkResponse()
	if cookie == nil || strings.Contains(cookie.String(), h.Tokens["indexer"]) || !strings.Contains(cookie.String(), `"a=b"`) {
		t.Errorf("%v", cookie)
	}
	var challenges []string
	for _, option := range check(nil).GetDeniedResponse().GetHeaders() {
		if option.GetHeader().GetKey() == "WWW-Authenticate" {
			challenges = append(challenges, option.GetHeader().GetValue())
		}
	}
	if !slices.Equal(challenges, []string{bearerChallenge, basicChallenge}) {
		t.Errorf("%q", challenges)
	}
}
