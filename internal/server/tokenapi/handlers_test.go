package tokenapi_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/apptoken/operator/internal/management"
	"github.com/apptoken/operator/internal/testing/servertest"
)

// The caller of a management request, and its client.
func TestManage_CallersAndScopes(t *testing.T) {
	h := servertest.NewLoginServer(t)
	login, app := h.Login("alice"), h.AppToken("developer")
	session, id := h.SpectrumSession("60")
	openTok := h.TokenIn(h.Call(http.MethodGet, servertest.PathOpenToken+"60", servertest.Basic("alice")), "access_token")
	first := h.Call(http.MethodPost, "/auth/login", servertest.FormBody(servertest.CredentialFields("alice")...))
	refresh := h.TokenIn(first, "refreshToken")
	elsewhere := h.Login("alice", "2002")
	for name, x := range map[string]struct {
		path   string
		parts  []servertest.RequestOption
		status int
		scope  management.Scope // scope of the call, if there was one
	}{
		"a login":                                    {servertest.PathAcmeTokens, []servertest.RequestOption{servertest.Bearer(login)}, 200, management.Scope{Client: "acme"}},
		"a login, by X-Security-Token":               {servertest.PathAcmeTokens, []servertest.RequestOption{servertest.SecurityToken(login)}, 200, management.Scope{Client: "acme"}},
		"a login, by Authentication":                 {servertest.PathAcmeTokens, []servertest.RequestOption{servertest.Authentication(login)}, 200, management.Scope{Client: "acme"}},
		"a program":                                  {servertest.PathAcmeTokens, []servertest.RequestOption{servertest.Bearer(app)}, 200, management.Scope{Client: "acme"}},
		"a session":                                  {servertest.PathAcmeTokens, []servertest.RequestOption{servertest.Bearer(session), servertest.Cookies("SESSION=" + id)}, 200, management.Scope{Client: "acme"}},
		"an open token":                              {servertest.PathAcmeTokens, []servertest.RequestOption{servertest.Bearer(openTok)}, 200, management.Scope{Client: "acme"}},
		"a name":                                     {servertest.PathAcmeTokens, []servertest.RequestOption{servertest.Basic("alice")}, 200, management.Scope{Client: "acme"}},
		"an integrator":                              {servertest.PathAcmeTokens + "?account_id=1001", []servertest.RequestOption{servertest.Integrator("alice")}, 200, management.Scope{Client: "acme"}},
		"a name at the client in the path":           {servertest.PathUmbrellaTokens, []servertest.RequestOption{servertest.Basic("erin")}, 200, management.Scope{Client: "umbrella"}},
		"a name at an account that may not":          {servertest.PathUmbrellaTokens, []servertest.RequestOption{servertest.Basic("alice")}, 403, management.Scope{}},
		"a user, their own":                          {servertest.PathUserTokens, []servertest.RequestOption{servertest.Bearer(login)}, 200, management.Scope{Client: "acme", User: "alice"}},
		"a user, their own at another account":       {servertest.PathUserTokens, []servertest.RequestOption{servertest.Bearer(elsewhere)}, 200, management.Scope{Client: "umbrella", User: "alice"}},
		"a user by name, their own":                  {servertest.PathUserTokens, []servertest.RequestOption{servertest.Basic("alice")}, 200, management.Scope{Client: "acme", User: "alice"}},
		"a user by name, at another account":         {servertest.PathUserTokens + "?account_id=2002", []servertest.RequestOption{servertest.Basic("alice")}, 200, management.Scope{Client: "umbrella", User: "alice"}},
		"an integrator, their own":                   {servertest.PathUserTokens + "?account_id=2002", []servertest.RequestOption{servertest.Integrator("alice")}, 200, management.Scope{Client: "umbrella", User: "alice"}},
		"no credential":                              {servertest.PathAcmeTokens, nil, 401, management.Scope{}},
		"a cookie":                                   {servertest.PathAcmeTokens, []servertest.RequestOption{servertest.Cookies(servertest.CredentialCookie + login)}, 401, management.Scope{}},
		"a cookie with its session":                  {servertest.PathAcmeTokens, []servertest.RequestOption{servertest.Cookies(servertest.CredentialCookie+session, "SESSION="+id)}, 401, management.Scope{}},
		"a session without its cookie":               {servertest.PathAcmeTokens, []servertest.RequestOption{servertest.Bearer(session)}, 401, management.Scope{}},
		"a session from another address":             {servertest.PathAcmeTokens, []servertest.RequestOption{servertest.Bearer(session), servertest.Cookies("SESSION=" + id), servertest.WithForwardedFor("192.0.2.8")}, 401, management.Scope{}},
		"a refresh token":                            {servertest.PathAcmeTokens, []servertest.RequestOption{servertest.Bearer(refresh)}, 401, management.Scope{}},
		"a token twice":                              {servertest.PathAcmeTokens, []servertest.RequestOption{servertest.Bearer(login), servertest.SecurityToken(login)}, 200, management.Scope{Client: "acme"}},
		"two tokens":                                 {servertest.PathAcmeTokens, []servertest.RequestOption{servertest.Bearer(login), servertest.SecurityToken(app)}, 401, management.Scope{}},
		"a remember-me cookie":                       {servertest.PathAcmeTokens, []servertest.RequestOption{servertest.Cookies(servertest.RememberMeCookie + login)}, 200, management.Scope{Client: "acme"}},
		"a remember-me cookie beside a token":        {servertest.PathUserTokens, []servertest.RequestOption{servertest.Cookies(servertest.RememberMeCookie + app), servertest.Bearer(login)}, 200, management.Scope{Client: "acme", User: "alice"}},
		"a remember-me cookie beside a name":         {servertest.PathUserTokens, []servertest.RequestOption{servertest.Cookies(servertest.RememberMeCookie + elsewhere), servertest.Basic("alice")}, 200, management.Scope{Client: "umbrella", User: "alice"}},
		"a remember-me cookie, from another site":    {servertest.PathAcmeTokens, []servertest.RequestOption{servertest.Cookies(servertest.RememberMeCookie + login), servertest.Header("Sec-Fetch-Site", "cross-site")}, 403, management.Scope{}},
		"a remember-me cookie, from another host":    {servertest.PathAcmeTokens, []servertest.RequestOption{servertest.Cookies(servertest.RememberMeCookie + login), servertest.Header("Origin", "https://evil.example")}, 403, management.Scope{}},
		"two remember-me cookies":                    {servertest.PathAcmeTokens, []servertest.RequestOption{servertest.Cookies(servertest.RememberMeCookie+login, servertest.RememberMeCookie+elsewhere)}, 401, management.Scope{}},
		"a name and a token":                         {servertest.PathAcmeTokens, []servertest.RequestOption{servertest.Basic("alice"), servertest.SecurityToken(login)}, 200, management.Scope{Client: "acme"}},
		"a name and a token that is rejected":        {servertest.PathAcmeTokens, []servertest.RequestOption{servertest.Basic("alice"), servertest.SecurityToken(refresh)}, 401, management.Scope{}},
		"a token as the password":                    {servertest.PathAcmeTokens, []servertest.RequestOption{servertest.Header("Authorization", "Basic "+servertest.BasicCredentials("acme", app))}, 401, management.Scope{}},
		"a name and a token in one header":           {servertest.PathAcmeTokens, []servertest.RequestOption{servertest.Bearer(login), servertest.Basic("alice")}, 401, management.Scope{}},
		"a name, sent by another site":               {servertest.PathAcmeTokens, []servertest.RequestOption{servertest.Basic("alice"), servertest.Header("Sec-Fetch-Site", "cross-site")}, 403, management.Scope{}},
		"a wrong password":                           {servertest.PathAcmeTokens, []servertest.RequestOption{servertest.Header("Authorization", "Basic "+servertest.BasicCredentials("dave", "x"))}, 401, management.Scope{}},
		"one who is suspended":                       {servertest.PathAcmeTokens, []servertest.RequestOption{servertest.Basic("bob")}, 401, management.Scope{}},
		"one without an account":                     {servertest.PathAcmeTokens, []servertest.RequestOption{servertest.Basic("carol")}, 403, management.Scope{}},
		"an integrator who says no account":          {servertest.PathAcmeTokens, []servertest.RequestOption{servertest.Integrator("alice")}, 400, management.Scope{}},
		"an integrator with the account in a cookie": {servertest.PathAcmeTokens, []servertest.RequestOption{servertest.Integrator("alice"), servertest.Cookies("account_id=1001")}, 400, management.Scope{}},
		"an account that is not the user's":          {servertest.PathAcmeTokens + "?account_id=9999", []servertest.RequestOption{servertest.Basic("alice")}, 400, management.Scope{}},
		"an account of another user":                 {servertest.PathAcmeTokens + "?account_id=2002", []servertest.RequestOption{servertest.Basic("dave")}, 400, management.Scope{}},
		"another account than the path":              {servertest.PathUmbrellaTokens + "?account_id=1001", []servertest.RequestOption{servertest.Basic("alice")}, 404, management.Scope{}},
		"a login at another account than the path":   {servertest.PathAcmeTokens, []servertest.RequestOption{servertest.Bearer(elsewhere)}, 404, management.Scope{}},
		"a login at an account, for another":         {servertest.PathUmbrellaTokens, []servertest.RequestOption{servertest.Bearer(login)}, 404, management.Scope{}},
		"a client, where it is about users":          {servertest.PathUserTokens, []servertest.RequestOption{servertest.Bearer(app)}, 403, management.Scope{}},
	} {
		h.TokenService.LastScope = management.Scope{}
		got := h.Call(http.MethodGet, x.path, x.parts...)
		if got.Status != x.status || h.TokenService.LastScope != x.scope || (got.Header.Get("Www-Authenticate") == "") != (x.status != 401 && !strings.Contains(got.Body, "insufficient_scope")) {
			t.Errorf("%s: %d %v %s about %v", name, got.Status, got.Header, got.Body, h.TokenService.LastScope)
		}
	}
	h.CheckNoSecretInAudit()
}

// [row 20]
func TestManage_OfConcurrentCreatesOneSucceeds(t *testing.T) {
	h := servertest.NewLoginServer(t)
	admin := h.Login("alice")
	var wg sync.WaitGroup
	results := make(chan int, 20)
	for range cap(results) {
		wg.Go(func() {
			results <- h.Call(http.MethodPut, servertest.PathAcmeTokens+"/once", servertest.Bearer(admin)).Status
		})
	}
	wg.Wait()
	close(results)
	count := map[int]int{}
	for status := range results {
		count[status]++
	}
	if count[200] != 1 || count[409] != 19 {
		t.Errorf("%v", count)
	}
}

func TestQuota_ExcessTokenIsAConflict(t *testing.T) {
	h := servertest.NewLoginServer(t)
	got := h.Call(http.MethodPut, servertest.PathAcmeTokens+"/"+servertest.NameOverQuota, servertest.Bearer(h.Login("alice")))
	if got.Status != http.StatusConflict || !strings.Contains(got.Body, "quota_exceeded") || !strings.Contains(got.Body, "spec.tokens.maxCount") {
		t.Errorf("%d %s", got.Status, got.Body)
	}
}
