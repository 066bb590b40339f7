package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/management"
)

const tokenKeys = "access_token expires_in refresh_token scope token_type"

// passwordGrant returns the fields of the password grant.
func passwordGrant(user string, more ...string) []string {
	return appendFields(appendFields(credentialFields(user), "grant_type", "password"), more...)
}

func asBasic(name, secret string) requestOption {
	return header("Authorization", "Basic "+basicCredentials(url.QueryEscape(name), url.QueryEscape(secret)))
}

func TestOAuthToken_PasswordGrantOpensLogin(t *testing.T) {
	h := newLoginServer(t)
	app := h.appToken("reader")
	for name, x := range map[string]struct {
		parts  []requestOption
		client string
	}{
		"to a program that says nothing of itself": {[]requestOption{formBody(passwordGrant("alice")...)}, "acme"},
		"in parts":                                  {[]requestOption{multipartBody(passwordGrant("alice")...)}, "acme"},
		"in JSON":                                   {[]requestOption{jsonBody(`{"grant_type":"password","username":"dave","password":"` + passwords["dave"] + `"}`)}, "acme"},
		"at an account":                             {[]requestOption{formBody(passwordGrant("alice", "account_id", "2002")...)}, "umbrella"},
		"to a client at which the user has one":     {[]requestOption{formBody(passwordGrant("alice", "client_id", "umbrella")...)}, "umbrella"},
		"to such a client, by Basic":                {[]requestOption{asBasic("umbrella", ""), formBody(passwordGrant("alice")...)}, "umbrella"},
		"to one client, at the account of another":  {[]requestOption{formBody(passwordGrant("alice", "client_id", "umbrella", "account_id", "1001")...)}, "acme"},
		"to an unknown client":                      {[]requestOption{formBody(passwordGrant("alice", "client_id", "swagger-ui", "scope", "x")...)}, "acme"},
		"to a client that is suspended":             {[]requestOption{formBody(passwordGrant("alice", "client_id", "frozen")...)}, "acme"},
		"as Swagger UI asks":                        {[]requestOption{asBasic("", ""), formBody(passwordGrant("alice", "scope", "")...)}, "acme"},
		"with empty fields for none":                {[]requestOption{formBody(passwordGrant("alice", "client_id", "", "client_secret", "")...)}, "acme"},
		"to a program with its secret":              {[]requestOption{formBody(passwordGrant("alice", "client_id", "acme", "client_secret", app)...)}, "acme"},
		"to a program with its secret, by Basic":    {[]requestOption{asBasic("acme", app), formBody(passwordGrant("alice")...)}, "acme"},
		"to the same, which names itself twice":     {[]requestOption{asBasic("acme", app), formBody(passwordGrant("alice", "client_id", "acme")...)}, "acme"},
		"beside a bearer token, which is no matter": {[]requestOption{bearer("x"), formBody(passwordGrant("alice")...)}, "acme"},
	} {
		got := h.call(http.MethodPost, "/oauth2/token", x.parts...)
		tok, said := h.token(got, "access_token"), h.read(got)
		h.token(got, "refresh_token")
		lifetime := map[string]time.Duration{"acme": time.Hour, "umbrella": 4 * 24 * time.Hour}[x.client]
		if h.keys(got) != tokenKeys || said["token_type"] != "Bearer" || said["expires_in"] != lifetime.Seconds() || said["scope"] == "" { // [row 8]
			t.Errorf("%s: %s", name, got.body)
		}
		if got.header.Get("Cache-Control") != "no-store" || got.header.Get("Pragma") != "no-cache" {
			t.Errorf("%s: %v", name, got.header)
		}
		if id := h.call(http.MethodGet, "/verify?client="+x.client, bearer(tok)); id.status != http.StatusOK {
			t.Errorf("%s: %d", name, id.status)
		}
	}
	h.checkNoSecretInAudit()
}

func TestOAuthToken_RefreshGrantReturnsNewPair(t *testing.T) {
	h := newLoginServer(t)
	first := h.call(http.MethodPost, "/oauth2/token", formBody(passwordGrant("alice")...))
	tok, refresh := h.token(first, "access_token"), h.token(first, "refresh_token")
	h.clock.advance(time.Minute)
	second := h.call(http.MethodPost, "/oauth2/token", formBody("grant_type", "refresh_token", "refresh_token", refresh, "client_id", "acme"))
	if next := h.token(second, "access_token"); h.keys(second) != tokenKeys || h.isValid(tok) || !h.isValid(next) {
		t.Errorf("%d %s", second.status, second.body)
	}
	h.clock.advance(time.Minute)
	if got := h.call(http.MethodPost, "/oauth2/token", formBody("grant_type", "refresh_token", "refresh_token", refresh)); got.status != 400 || h.read(got)["error"] != "invalid_grant" {
		t.Errorf("a replay: %d %s", got.status, got.body)
	}
	h.checkNoSecretInAudit()
}

// The error codes of RFC 6749, section 5.2.
func TestOAuthToken_ErrorCodes(t *testing.T) {
	h := newLoginServer(t)
	app := h.appToken("reader")
	before := h.store.writeCounts()
	for name, x := range map[string]struct {
		parts  []requestOption
		status int
		code   string
	}{
		"no grant":                             {[]requestOption{formBody(credentialFields("dave")...)}, 400, "invalid_request"},
		"another grant":                        {[]requestOption{formBody("grant_type", "client_credentials")}, 400, "unsupported_grant_type"},
		"a grant that is none":                 {[]requestOption{formBody("grant_type", marker)}, 400, "unsupported_grant_type"},
		"the grant twice":                      {[]requestOption{formBody(passwordGrant("dave", "grant_type", "password")...)}, 400, "invalid_request"},
		"no name":                              {[]requestOption{formBody("grant_type", "password", "password", "x")}, 400, "invalid_request"},
		"no password":                          {[]requestOption{formBody("grant_type", "password", "username", "dave")}, 400, "invalid_request"},
		"no refresh token":                     {[]requestOption{formBody("grant_type", "refresh_token")}, 400, "invalid_request"},
		"a wrong password":                     {[]requestOption{formBody("grant_type", "password", "username", "dave", "password", "x")}, 400, "invalid_grant"},
		"one who is suspended":                 {[]requestOption{formBody(passwordGrant("bob")...)}, 400, "invalid_grant"},
		"one without an account":               {[]requestOption{formBody(passwordGrant("carol")...)}, 400, "invalid_grant"},
		"a refresh token that is none":         {[]requestOption{formBody("grant_type", "refresh_token", "refresh_token", "x")}, 400, "invalid_grant"},
		"an account of another user":           {[]requestOption{formBody(passwordGrant("dave", "account_id", "2002")...)}, 400, "invalid_request"},
		"a name and a password in Basic":       {[]requestOption{basic("dave"), formBody("grant_type", "password")}, 401, "invalid_client"},
		"a secret that is none":                {[]requestOption{formBody(passwordGrant("dave", "client_id", "acme", "client_secret", "x")...)}, 401, "invalid_client"},
		"a secret of another client":           {[]requestOption{formBody(passwordGrant("dave", "client_id", "umbrella", "client_secret", app)...)}, 401, "invalid_client"},
		"a secret without a client":            {[]requestOption{formBody(passwordGrant("dave", "client_secret", app)...)}, 401, "invalid_client"},
		"a client in two places, two names":    {[]requestOption{header("Authorization", "Basic "+basicCredentials("acme", app)), formBody(passwordGrant("dave", "client_id", "umbrella")...)}, 400, "invalid_request"},
		"a secret in two places":               {[]requestOption{header("Authorization", "Basic "+basicCredentials("acme", app)), formBody(passwordGrant("dave", "client_secret", app)...)}, 400, "invalid_request"},
		"a secret, and an account of another":  {[]requestOption{formBody(passwordGrant("alice", "client_id", "acme", "client_secret", app, "account_id", "2002")...)}, 401, "invalid_client"},
		"Basic that cannot be read":            {[]requestOption{header("Authorization", "Basic "+marker+"!"), formBody(passwordGrant("dave")...)}, 401, "invalid_client"},
		"Basic twice":                          {[]requestOption{header("Authorization", "Basic "+basicCredentials("acme", app), "Basic "+basicCredentials("acme", app)), formBody(passwordGrant("dave")...)}, 401, "invalid_client"},
		"Basic with an escape that is none":    {[]requestOption{header("Authorization", "Basic "+basicCredentials("%zz", app)), formBody(passwordGrant("dave")...)}, 401, "invalid_client"},
		"the secret in the address":            {[]requestOption{queryString("client_secret=" + app), formBody(passwordGrant("dave")...)}, 400, "invalid_request"},
		"the password in the address":          {[]requestOption{queryString("password=" + marker), formBody("grant_type", "password", "username", "dave")}, 400, "invalid_request"},
		"a body of an unknown type":            {[]requestOption{rawBody("text/plain", marker)}, 415, "invalid_request"},
		"a body that is too large":             {[]requestOption{rawBody(urlencoded, "password="+strings.Repeat(marker, 8<<10))}, 413, "invalid_request"},
		"a refresh token, and another's words": {[]requestOption{formBody("grant_type", "refresh_token", "refresh_token", app)}, 400, "invalid_grant"},
	} {
		got := h.call(http.MethodPost, "/oauth2/token", x.parts...)
		if got.status != x.status || h.read(got)["error"] != x.code || got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
		if strings.Contains(got.body, marker) || strings.Contains(got.body, app) || (got.header.Get("Www-Authenticate") != "") != (got.status == 401) {
			t.Errorf("%s: %v %s", name, got.header, got.body)
		}
	}
	if h.store.writeCounts() != before {
		t.Error("something was written")
	}
	h.checkNoSecretInAudit()
}

// RFC 6749, section 6: a program that sends a client's token refreshes logins of that client alone.
func TestOAuthToken_ClientSecretRefreshesOwnLoginsOnly(t *testing.T) {
	h := newLoginServer(t)
	app := h.appToken("reader")
	refresh := func(of string, more ...requestOption) httpResponse {
		parts := append([]requestOption{formBody("grant_type", "refresh_token", "refresh_token", of)}, more...)
		return h.call(http.MethodPost, "/oauth2/token", parts...)
	}
	for name, x := range map[string]struct {
		at     string // the account
		by     []requestOption
		status int
	}{
		"its own":                           {"1001", []requestOption{asBasic("acme", app)}, 200},
		"one of another client":             {"2002", []requestOption{asBasic("acme", app)}, 400},
		"one, without a client credential":  {"2002", nil, 200},
		"one, by who only says whose it is": {"2002", []requestOption{asBasic("acme", "")}, 200},
	} {
		first := h.call(http.MethodPost, "/oauth2/token", formBody(passwordGrant("alice", "account_id", x.at)...))
		of := h.token(first, "refresh_token")
		got := refresh(of, x.by...)
		if got.status != x.status || x.status == 400 && h.read(got)["error"] != "invalid_grant" {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
		if x.status == 400 && refresh(of).status != 200 {
			t.Errorf("%s: no other user has it either", name)
		}
	}
	h.checkNoSecretInAudit()
}

func TestMetadata_NamesTokenEndpoint(t *testing.T) {
	h := newLoginServer(t)
	got := h.call(http.MethodGet, "/.well-known/oauth-authorization-server")
	said := h.read(got)
	if said["token_endpoint"] != h.url+"/oauth2/token" {
		t.Errorf("%s", got.body)
	}
	const keys = "grant_types_supported introspection_endpoint introspection_endpoint_auth_methods_supported issuer response_types_supported " +
		"revocation_endpoint revocation_endpoint_auth_methods_supported token_endpoint token_endpoint_auth_methods_supported"
	if h.keys(got) != keys { // [row 8]
		t.Errorf("%s", h.keys(got))
	}
	for key, want := range map[string]string{
		"grant_types_supported": "password refresh_token", "token_endpoint_auth_methods_supported": "none client_secret_basic client_secret_post",
	} {
		var list []string
		for _, v := range said[key].([]any) {
			list = append(list, v.(string))
		}
		if strings.Join(list, " ") != want {
			t.Errorf("%s: %q", key, list)
		}
	}
}

func TestLogin_IsIntrospectedAndRevoked(t *testing.T) {
	h := newLoginServer(t)
	asker := h.createToken(management.Scope{Client: "acme"}, management.TokenSpec{Name: "asker", Permissions: []string{"sec.continuous.rest"}})
	first := h.call(http.MethodPost, "/oauth2/token", formBody(passwordGrant("alice")...))
	tok, refresh := h.token(first, "access_token"), h.token(first, "refresh_token")
	if got := h.call(http.MethodPost, "/oauth2/introspect", bearer(asker), formBody("token", tok)); got.status != 403 {
		t.Errorf("without the permission: %d %s", got.status, got.body)
	}
	for _, text := range []string{refresh, refresh, tok} {
		if got := h.call(http.MethodPost, "/oauth2/revoke", formBody("token", text)); got.status != http.StatusOK || got.body != "{}\n" {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
	if h.isValid(tok) || h.call(http.MethodPost, "/auth/refresh", formBody("refresh_token", refresh)).status != 401 {
		t.Error("it goes on")
	}
	h.checkNoSecretInAudit()
}
