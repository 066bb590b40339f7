package oauth_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/management"
	"github.com/apptoken/operator/internal/testing/servertest"
)

const tokenKeys = "access_token expires_in refresh_token scope token_type"

func asBasic(name, secret string) servertest.RequestOption {
	return servertest.Header("Authorization", "Basic "+servertest.BasicCredentials(url.QueryEscape(name), url.QueryEscape(secret)))
}

func TestOAuthToken_PasswordGrantOpensLogin(t *testing.T) {
	h := servertest.NewLoginServer(t)
	app := h.AppToken("reader")
	for name, x := range map[string]struct {
		parts  []servertest.RequestOption
		client string
	}{
		"to a program that says nothing of itself": {[]servertest.RequestOption{servertest.FormBody(servertest.PasswordGrant("alice")...)}, "acme"},
		"in parts":                                  {[]servertest.RequestOption{servertest.MultipartBody(servertest.PasswordGrant("alice")...)}, "acme"},
		"in JSON":                                   {[]servertest.RequestOption{servertest.JSONBody(`{"grant_type":"password","username":"dave","password":"` + servertest.Passwords["dave"] + `"}`)}, "acme"},
		"at an account":                             {[]servertest.RequestOption{servertest.FormBody(servertest.PasswordGrant("alice", "account_id", "2002")...)}, "umbrella"},
		"to a client at which the user has one":     {[]servertest.RequestOption{servertest.FormBody(servertest.PasswordGrant("alice", "client_id", "umbrella")...)}, "umbrella"},
		"to such a client, by Basic":                {[]servertest.RequestOption{asBasic("umbrella", ""), servertest.FormBody(servertest.PasswordGrant("alice")...)}, "umbrella"},
		"to one client, at the account of another":  {[]servertest.RequestOption{servertest.FormBody(servertest.PasswordGrant("alice", "client_id", "umbrella", "account_id", "1001")...)}, "acme"},
		"to an unknown client":                      {[]servertest.RequestOption{servertest.FormBody(servertest.PasswordGrant("alice", "client_id", "swagger-ui")...)}, "acme"},
		"to a client that is suspended":             {[]servertest.RequestOption{servertest.FormBody(servertest.PasswordGrant("alice", "client_id", "frozen")...)}, "acme"},
		"as Swagger UI asks":                        {[]servertest.RequestOption{asBasic("", ""), servertest.FormBody(servertest.PasswordGrant("alice", "scope", "")...)}, "acme"},
		"with empty fields for none":                {[]servertest.RequestOption{servertest.FormBody(servertest.PasswordGrant("alice", "client_id", "", "client_secret", "")...)}, "acme"},
		"to a program with its secret":              {[]servertest.RequestOption{servertest.FormBody(servertest.PasswordGrant("alice", "client_id", "acme", "client_secret", app)...)}, "acme"},
		"to a program with its secret, by Basic":    {[]servertest.RequestOption{asBasic("acme", app), servertest.FormBody(servertest.PasswordGrant("alice")...)}, "acme"},
		"to the same, which names itself twice":     {[]servertest.RequestOption{asBasic("acme", app), servertest.FormBody(servertest.PasswordGrant("alice", "client_id", "acme")...)}, "acme"},
		"beside a bearer token, which is no matter": {[]servertest.RequestOption{servertest.Bearer("x"), servertest.FormBody(servertest.PasswordGrant("alice")...)}, "acme"},
	} {
		got := h.Call(http.MethodPost, "/oauth2/token", x.parts...)
		tok, said := h.TokenIn(got, "access_token"), h.Members(got)
		h.TokenIn(got, "refresh_token")
		lifetime := map[string]time.Duration{"acme": time.Hour, "umbrella": 4 * 24 * time.Hour}[x.client]
		if h.Keys(got) != tokenKeys || said["token_type"] != "Bearer" || said["expires_in"] != lifetime.Seconds() || said["scope"] == "" { // [row 8]
			t.Errorf("%s: %s", name, got.Body)
		}
		if got.Header.Get("Cache-Control") != "no-store" || got.Header.Get("Pragma") != "no-cache" {
			t.Errorf("%s: %v", name, got.Header)
		}
		if id := h.Call(http.MethodGet, "/verify?client="+x.client, servertest.Bearer(tok)); id.Status != http.StatusOK {
			t.Errorf("%s: %d", name, id.Status)
		}
	}
	h.CheckNoSecretInAudit()
}

func TestOAuthToken_RefreshGrantReturnsNewPair(t *testing.T) {
	h := servertest.NewLoginServer(t)
	first := h.Call(http.MethodPost, "/oauth2/token", servertest.FormBody(servertest.PasswordGrant("alice")...))
	tok, refresh := h.TokenIn(first, "access_token"), h.TokenIn(first, "refresh_token")
	h.Clock.Advance(time.Minute)
	second := h.Call(http.MethodPost, "/oauth2/token", servertest.FormBody("grant_type", "refresh_token", "refresh_token", refresh, "client_id", "acme"))
	if next := h.TokenIn(second, "access_token"); h.Keys(second) != tokenKeys || h.IsValid(tok) || !h.IsValid(next) {
		t.Errorf("%d %s", second.Status, second.Body)
	}
	h.Clock.Advance(time.Minute)
	if got := h.Call(http.MethodPost, "/oauth2/token", servertest.FormBody("grant_type", "refresh_token", "refresh_token", refresh)); got.Status != 400 || h.Members(got)["error"] != "invalid_grant" {
		t.Errorf("a replay: %d %s", got.Status, got.Body)
	}
	h.CheckNoSecretInAudit()
}

// The error codes of RFC 6749, section 5.2.
func TestOAuthToken_ErrorCodes(t *testing.T) {
	h := servertest.NewLoginServer(t)
	app := h.AppToken("reader")
	before := h.Store.WriteCounts()
	for name, x := range map[string]struct {
		parts  []servertest.RequestOption
		status int
		code   string
	}{
		"no grant":                             {[]servertest.RequestOption{servertest.FormBody(servertest.CredentialFields("dave")...)}, 400, "invalid_request"},
		"another grant":                        {[]servertest.RequestOption{servertest.FormBody("grant_type", "authorization_code")}, 400, "unsupported_grant_type"},
		"an unknown scope":                     {[]servertest.RequestOption{servertest.FormBody(servertest.PasswordGrant("alice", "scope", "x")...)}, 400, "invalid_scope"},
		"a grant that is none":                 {[]servertest.RequestOption{servertest.FormBody("grant_type", servertest.PasswordMark)}, 400, "unsupported_grant_type"},
		"the grant twice":                      {[]servertest.RequestOption{servertest.FormBody(servertest.PasswordGrant("dave", "grant_type", "password")...)}, 400, "invalid_request"},
		"no name":                              {[]servertest.RequestOption{servertest.FormBody("grant_type", "password", "password", "x")}, 400, "invalid_request"},
		"no password":                          {[]servertest.RequestOption{servertest.FormBody("grant_type", "password", "username", "dave")}, 400, "invalid_request"},
		"no refresh token":                     {[]servertest.RequestOption{servertest.FormBody("grant_type", "refresh_token")}, 400, "invalid_request"},
		"a wrong password":                     {[]servertest.RequestOption{servertest.FormBody("grant_type", "password", "username", "dave", "password", "x")}, 400, "invalid_grant"},
		"one who is suspended":                 {[]servertest.RequestOption{servertest.FormBody(servertest.PasswordGrant("bob")...)}, 400, "invalid_grant"},
		"one without an account":               {[]servertest.RequestOption{servertest.FormBody(servertest.PasswordGrant("carol")...)}, 400, "invalid_grant"},
		"a refresh token that is none":         {[]servertest.RequestOption{servertest.FormBody("grant_type", "refresh_token", "refresh_token", "x")}, 400, "invalid_grant"},
		"an account of another user":           {[]servertest.RequestOption{servertest.FormBody(servertest.PasswordGrant("dave", "account_id", "2002")...)}, 400, "invalid_request"},
		"a name and a password in Basic":       {[]servertest.RequestOption{servertest.Basic("dave"), servertest.FormBody("grant_type", "password")}, 401, "invalid_client"},
		"a secret that is none":                {[]servertest.RequestOption{servertest.FormBody(servertest.PasswordGrant("dave", "client_id", "acme", "client_secret", "x")...)}, 401, "invalid_client"},
		"a secret of another client":           {[]servertest.RequestOption{servertest.FormBody(servertest.PasswordGrant("dave", "client_id", "umbrella", "client_secret", app)...)}, 401, "invalid_client"},
		"a secret without a client":            {[]servertest.RequestOption{servertest.FormBody(servertest.PasswordGrant("dave", "client_secret", app)...)}, 401, "invalid_client"},
		"a client in two places, two names":    {[]servertest.RequestOption{servertest.Header("Authorization", "Basic "+servertest.BasicCredentials("acme", app)), servertest.FormBody(servertest.PasswordGrant("dave", "client_id", "umbrella")...)}, 400, "invalid_request"},
		"a secret in two places":               {[]servertest.RequestOption{servertest.Header("Authorization", "Basic "+servertest.BasicCredentials("acme", app)), servertest.FormBody(servertest.PasswordGrant("dave", "client_secret", app)...)}, 400, "invalid_request"},
		"a secret, and an account of another":  {[]servertest.RequestOption{servertest.FormBody(servertest.PasswordGrant("alice", "client_id", "acme", "client_secret", app, "account_id", "2002")...)}, 401, "invalid_client"},
		"Basic that cannot be read":            {[]servertest.RequestOption{servertest.Header("Authorization", "Basic "+servertest.PasswordMark+"!"), servertest.FormBody(servertest.PasswordGrant("dave")...)}, 401, "invalid_client"},
		"Basic twice":                          {[]servertest.RequestOption{servertest.Header("Authorization", "Basic "+servertest.BasicCredentials("acme", app), "Basic "+servertest.BasicCredentials("acme", app)), servertest.FormBody(servertest.PasswordGrant("dave")...)}, 401, "invalid_client"},
		"Basic with an escape that is none":    {[]servertest.RequestOption{servertest.Header("Authorization", "Basic "+servertest.BasicCredentials("%zz", app)), servertest.FormBody(servertest.PasswordGrant("dave")...)}, 401, "invalid_client"},
		"the secret in the address":            {[]servertest.RequestOption{servertest.QueryString("client_secret=" + app), servertest.FormBody(servertest.PasswordGrant("dave")...)}, 400, "invalid_request"},
		"the password in the address":          {[]servertest.RequestOption{servertest.QueryString("password=" + servertest.PasswordMark), servertest.FormBody("grant_type", "password", "username", "dave")}, 400, "invalid_request"},
		"a body of an unknown type":            {[]servertest.RequestOption{servertest.RawBody("text/plain", servertest.PasswordMark)}, 415, "invalid_request"},
		"a body that is too large":             {[]servertest.RequestOption{servertest.RawBody(servertest.ContentTypeForm, "password="+strings.Repeat(servertest.PasswordMark, 8<<10))}, 413, "invalid_request"},
		"a refresh token, and another's words": {[]servertest.RequestOption{servertest.FormBody("grant_type", "refresh_token", "refresh_token", app)}, 400, "invalid_grant"},
	} {
		got := h.Call(http.MethodPost, "/oauth2/token", x.parts...)
		if got.Status != x.status || h.Members(got)["error"] != x.code || got.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
		if strings.Contains(got.Body, servertest.PasswordMark) || strings.Contains(got.Body, app) || (got.Header.Get("Www-Authenticate") != "") != (got.Status == 401) {
			t.Errorf("%s: %v %s", name, got.Header, got.Body)
		}
	}
	if h.Store.WriteCounts() != before {
		t.Error("something was written")
	}
	h.CheckNoSecretInAudit()
}

// RFC 6749, section 6: a program that sends a client's token refreshes logins of that client alone.
func TestOAuthToken_ClientSecretRefreshesOwnLoginsOnly(t *testing.T) {
	h := servertest.NewLoginServer(t)
	app := h.AppToken("reader")
	refresh := func(of string, more ...servertest.RequestOption) servertest.Response {
		parts := append([]servertest.RequestOption{servertest.FormBody("grant_type", "refresh_token", "refresh_token", of)}, more...)
		return h.Call(http.MethodPost, "/oauth2/token", parts...)
	}
	for name, x := range map[string]struct {
		at     string // the account
		by     []servertest.RequestOption
		status int
	}{
		"its own":                           {"1001", []servertest.RequestOption{asBasic("acme", app)}, 200},
		"one of another client":             {"2002", []servertest.RequestOption{asBasic("acme", app)}, 400},
		"one, without a client credential":  {"2002", nil, 200},
		"one, by who only says whose it is": {"2002", []servertest.RequestOption{asBasic("acme", "")}, 200},
	} {
		first := h.Call(http.MethodPost, "/oauth2/token", servertest.FormBody(servertest.PasswordGrant("alice", "account_id", x.at)...))
		of := h.TokenIn(first, "refresh_token")
		got := refresh(of, x.by...)
		if got.Status != x.status || x.status == 400 && h.Members(got)["error"] != "invalid_grant" {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
		if x.status == 400 && refresh(of).Status != 200 {
			t.Errorf("%s: no other user has it either", name)
		}
	}
	h.CheckNoSecretInAudit()
}

func TestLogin_IsIntrospectedAndRevoked(t *testing.T) {
	h := servertest.NewLoginServer(t)
	asker := h.CreateToken(management.Scope{Client: "acme"}, management.TokenSpec{Name: "asker", Permissions: []string{"sec.continuous.rest"}})
	first := h.Call(http.MethodPost, "/oauth2/token", servertest.FormBody(servertest.PasswordGrant("alice")...))
	tok, refresh := h.TokenIn(first, "access_token"), h.TokenIn(first, "refresh_token")
	if got := h.Call(http.MethodPost, "/oauth2/introspect", servertest.Bearer(asker), servertest.FormBody("token", tok)); got.Status != 403 {
		t.Errorf("without the permission: %d %s", got.Status, got.Body)
	}
	for _, text := range []string{refresh, refresh, tok} {
		if got := h.Call(http.MethodPost, "/oauth2/revoke", servertest.FormBody("token", text)); got.Status != http.StatusOK || got.Body != "{}\n" {
			t.Errorf("%d %s", got.Status, got.Body)
		}
	}
	if h.IsValid(tok) || h.Call(http.MethodPost, "/auth/refresh", servertest.FormBody("refresh_token", refresh)).Status != 401 {
		t.Error("it goes on")
	}
	h.CheckNoSecretInAudit()
}
