package loginapi_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/testing/servertest"
)

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
		if got.Header.Get("Cache-Control") != "no-store" || got.Header.Get("Set-Cookie") != "" || tok[:4] != "atl_" {
			t.Errorf("%s: %v", name, got.Header)
		}
		if said["expiresAt"] != servertest.StartTime.Add(x.lifetime).Format(time.RFC3339) || said["client"] != x.client || said["username"] != "alice@example.com" {
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

// changePassword changes the password of a user.
func changePassword(h *servertest.LoginServer, user string) {
	u, _ := h.Directory.User(user)
	u.Credential = "two"
	h.Directory.SetUser(u)
	h.IndexUser(u)
}
