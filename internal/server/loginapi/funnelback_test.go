package loginapi_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/testing/servertest"
)

// rememberMeCookie is the name of the cookie with the token of a login that is remembered.
const rememberMeCookie = "SPRING_SECURITY_REMEMBER_ME_COOKIE="

// The requests of programs for Funnelback 15, and the responses that they expect.
func TestFunnelback_LoginByFormReturnsTokenInHeader(t *testing.T) {
	h := servertest.NewLoginServer(t)
	alice := servertest.CredentialFields("alice")
	written := `{"username":"alice@example.com","password":"` + servertest.Passwords["alice"] + `"`
	for name, x := range map[string]struct {
		path     string
		body     servertest.RequestOption
		lifetime time.Duration
		client   string
	}{
		"as it is documented":              {servertest.PathFormLogin + "?remember-me=true", servertest.FormBody(alice...), 14 * 24 * time.Hour, "acme"},
		"without the first prefix":         {"/account/v1/login?remember-me=true", servertest.FormBody(alice...), 14 * 24 * time.Hour, "acme"},
		"without being remembered":         {servertest.PathFormLogin, servertest.FormBody(alice...), time.Hour, "acme"},
		"remembered in so many words: no":  {servertest.PathFormLogin + "?remember-me=false", servertest.FormBody(alice...), time.Hour, "acme"},
		"remembered, in the form":          {servertest.PathFormLogin, servertest.FormBody(servertest.AppendFields(alice, "remember-me", "1")...), 14 * 24 * time.Hour, "acme"},
		"in parts":                         {servertest.PathFormLogin, servertest.MultipartBody(servertest.AppendFields(alice, "remember-me", "true")...), 14 * 24 * time.Hour, "acme"},
		"in JSON":                          {servertest.PathFormLogin, servertest.JSONBody(written + `,"remember-me":true}`), 14 * 24 * time.Hour, "acme"},
		"at another account":               {servertest.PathFormLogin, servertest.FormBody(servertest.AppendFields(alice, "account_id", "2002")...), 4 * 24 * time.Hour, "umbrella"},
		"at another account, in the query": {servertest.PathFormLogin + "?account_id=2002", servertest.FormBody(alice...), 4 * 24 * time.Hour, "umbrella"},
		"at another account, in JSON":      {servertest.PathFormLogin, servertest.JSONBody(written + `,"account_id":2002}`), 4 * 24 * time.Hour, "umbrella"},
		"by Basic":                         {servertest.PathFormLogin, servertest.Basic("alice"), time.Hour, "acme"},
		"with more fields than are known":  {servertest.PathFormLogin, servertest.FormBody(servertest.AppendFields(alice, "_csrf", "x", "submit", "")...), time.Hour, "acme"},
	} {
		got := h.Call(http.MethodPost, x.path, x.body)
		tok := h.TokenIn(got)
		said := h.Members(got)
		cookie := ""
		if !strings.Contains(name, ": no") {
			cookie = rememberMeCookie + tok + "; Path=/; Expires=" + servertest.StartTime.Add(x.lifetime).Format(http.TimeFormat) + "; HttpOnly; SameSite=Lax"
		}
		if got.Header.Get("Cache-Control") != "no-store" || strings.Join(got.Header["Set-Cookie"], "\n") != cookie || tok[:4] != "atl_" {
			t.Errorf("%s: %v", name, got.Header)
		}
		if said["expiresAt"] != servertest.StartTime.Add(x.lifetime).Format(time.RFC3339) || said["client"] != x.client || said["username"] != "alice@example.com" {
			t.Errorf("%s: %s", name, got.Body)
		}
		if said["errorMessage"] != nil || said["data"] != "Authenticated, see x-security-token." {
			t.Errorf("%s: %s", name, got.Body)
		}
		if keys := h.Keys(got); keys != "accountId client data errorMessage expiresAt username" { // [row 8]
			t.Errorf("%s: %s", name, keys)
		}
		if id := h.Call(http.MethodGet, "/verify?client="+x.client, servertest.SecurityToken(tok)); id.Status != http.StatusOK || id.Header.Get("X-Apptoken-User") != "alice" {
			t.Errorf("%s: the token: %d %v", name, id.Status, id.Header)
		}
	}
	h.CheckNoSecretInAudit()
}

// A browser keeps the cookie as long as the login lives, and sends it over TLS alone. A page of
// another site gets one that it can use only if its origin is allowed, and otherwise none.
func TestFunnelback_RememberMeCookieHasDocumentedAttributes(t *testing.T) {
	const page = "https://app.example.com"
	h := servertest.NewCORSServer(t, httptest.NewTLSServer, page)
	expires := "; Path=/; Expires=" + servertest.StartTime.Add(14*24*time.Hour).Format(http.TimeFormat)
	login := servertest.FormBody(servertest.AppendFields(servertest.CredentialFields("alice"), "remember-me", "true")...)
	for name, x := range map[string]struct {
		part servertest.RequestOption
		want string
	}{
		"a program":            {servertest.Header("X-Nothing", ""), expires + "; HttpOnly; Secure; SameSite=Lax"},
		"a page of its own":    {servertest.Header("Sec-Fetch-Site", "same-origin"), expires + "; HttpOnly; Secure; SameSite=Lax"},
		"a page of an allowed": {servertest.Header("Origin", page), expires + "; HttpOnly; Secure; SameSite=None; Partitioned"},
		"a page of another":    {servertest.Header("Origin", "https://evil.example"), ""},
		"a form of another":    {servertest.Header("Sec-Fetch-Site", "cross-site"), ""},
		"a wrong password":     {servertest.FormBody("username", "alice@example.com", "password", "wrong", "remember-me", "true"), ""},
		"not to be remembered": {servertest.FormBody(servertest.AppendFields(servertest.CredentialFields("alice"), "remember-me", "false")...), ""},
	} {
		got := h.Call(http.MethodPost, servertest.PathFormLogin, login, x.part)
		cookies := got.Header["Set-Cookie"]
		if x.want == "" {
			if len(cookies) > 0 {
				t.Errorf("%s: %v", name, cookies)
			}
			continue
		}
		if tok := h.TokenIn(got); len(cookies) != 1 || cookies[0] != rememberMeCookie+tok+x.want || got.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", name, got.Header)
		}
	}
	h.CheckNoSecretInAudit()
}

func TestFunnelback_LogoutDeletesRememberMeCookie(t *testing.T) {
	for path, method := range map[string]string{servertest.PathSpectrumLogout: http.MethodGet, "/auth/logout": http.MethodPost} {
		for name, x := range map[string]struct {
			cookie  string // besides the header; % is the token
			deleted bool
		}{"its own": {rememberMeCookie + "%", true}, "another": {rememberMeCookie + "x", false}, "none": {"a=b", false}} {
			h := servertest.NewLoginServer(t)
			tok := h.Login("alice")
			got := h.Call(method, path, servertest.Bearer(tok), servertest.Cookies(strings.ReplaceAll(x.cookie, "%", tok)))
			want := rememberMeCookie + "; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"
			if got.Status != http.StatusOK || slices.Contains(got.Header["Set-Cookie"], want) != x.deleted || h.IsValid(tok) {
				t.Errorf("%s, %s: %d %v", path, name, got.Status, got.Header)
			}
			again := h.Call(method, path, servertest.Bearer(tok), servertest.Cookies(strings.ReplaceAll(x.cookie, "%", tok)))
			if again.Status != http.StatusUnauthorized || len(again.Header["Set-Cookie"]) > 0 {
				t.Errorf("%s, %s, once more: %d %v", path, name, again.Status, again.Header)
			}
		}
	}
}

// Old programs for Funnelback send the name and the password in the URL. Nothing but a flag allows
// it, and that for their login alone.
func TestFunnelback_CredentialsInURLNeedFlag(t *testing.T) {
	h := servertest.NewUnstartedLoginServer(t)
	h.LoginCredentialsInURL = true
	h.Serve(httptest.NewServer)
	query := func(more string, fields ...string) servertest.RequestOption {
		values := url.Values{}
		for i := 0; i < len(fields); i += 2 {
			values.Set(fields[i], fields[i+1])
		}
		return servertest.QueryString(values.Encode() + more)
	}
	alice := servertest.CredentialFields("alice")
	for name, x := range map[string]struct {
		path  string
		parts []servertest.RequestOption
	}{
		"as it is documented":     {servertest.PathFormLogin, []servertest.RequestOption{query("", alice...)}},
		"without the prefix":      {"/account/v1/login", []servertest.RequestOption{query("&remember-me=true&account_id=", alice...)}},
		"the name alone":          {servertest.PathFormLogin, []servertest.RequestOption{query("", alice[:2]...), servertest.FormBody(alice[2:]...)}},
		"the password alone":      {servertest.PathFormLogin, []servertest.RequestOption{query("", alice[2:]...), servertest.JSONBody(`{"username":"alice@example.com"}`)}},
		"in the body as before":   {servertest.PathFormLogin, []servertest.RequestOption{servertest.FormBody(alice...)}},
		"in a header as before":   {servertest.PathFormLogin, []servertest.RequestOption{servertest.Basic("alice")}},
		"an empty form beside it": {servertest.PathFormLogin, []servertest.RequestOption{query("", alice...), servertest.RawBody(servertest.ContentTypeForm, "")}},
	} {
		if got := h.Call(http.MethodPost, x.path, x.parts...); got.Status != http.StatusOK || !h.IsValid(h.TokenIn(got)) {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
	}
	marked := []string{"username", "alice@example.com", "password", servertest.PasswordMark}
	for name, x := range map[string]struct {
		method, path string
		parts        []servertest.RequestOption
		status       int
	}{
		"a wrong password":                    {"POST", servertest.PathFormLogin, []servertest.RequestOption{query("", marked...)}, 401},
		"no password":                         {"POST", servertest.PathFormLogin, []servertest.RequestOption{query("", marked[:2]...)}, 400},
		"a password in both":                  {"POST", servertest.PathFormLogin, []servertest.RequestOption{query("", marked...), servertest.FormBody(marked...)}, 400},
		"a wrong password beside Basic":       {"POST", servertest.PathFormLogin, []servertest.RequestOption{query("", marked...), servertest.Basic("alice")}, 401},
		"a GET, which is a link":              {"GET", servertest.PathFormLogin, []servertest.RequestOption{query("", marked...)}, 405},
		"TeleTracker":                         {"POST", "/auth/login", []servertest.RequestOption{query("", marked...)}, 400},
		"TeleTracker, a refresh":              {"POST", "/auth/refresh", []servertest.RequestOption{query("", "refresh_token", servertest.PasswordMark)}, 400},
		"OAuth":                               {"POST", "/oauth2/token", []servertest.RequestOption{query("&grant_type=password", marked...)}, 400},
		"Spectrum":                            {"GET", servertest.PathSessionToken + "5", []servertest.RequestOption{query("", marked...)}, 401},
		"the tokens of the user":              {"GET", servertest.PathUserTokens, []servertest.RequestOption{query("", marked...)}, 401},
		"a path that is not there, with them": {"POST", "/account/v1/" + "logins", []servertest.RequestOption{query("", marked...)}, 404},
	} {
		got := h.Call(x.method, x.path, x.parts...)
		if got.Status != x.status || strings.Contains(got.Body, servertest.PasswordMark) {
			t.Errorf("%s: %d %s, want %d", name, got.Status, got.Body, x.status)
		}
	}
	h.CheckNoSecretInAudit()

	off := servertest.NewLoginServer(t)
	for field, parts := range map[string][]servertest.RequestOption{
		"username": {query("", alice...)}, "password": {query("", alice[2:]...), servertest.FormBody(alice[:2]...)},
	} {
		got := off.Call(http.MethodPost, servertest.PathFormLogin, parts...)
		if said := off.Members(got); got.Status != http.StatusBadRequest || said["field"] != field || said["errorMessage"] != field+" must be in the body, and not in the address" {
			t.Errorf("without the flag: %d %s", got.Status, got.Body)
		}
	}
	off.CheckNoSecretInAudit()
}

// changePassword changes the password of a user.
func changePassword(h *servertest.LoginServer, user string) {
	u, _ := h.Directory.User(user)
	u.Credential = "two"
	h.Directory.SetUser(u)
	h.IndexUser(u)
}
