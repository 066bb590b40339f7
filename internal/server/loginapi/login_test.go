package loginapi_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/testing/servertest"
)

func TestLogin_EndsAtExpiryAndPasswordChange(t *testing.T) {
	for name, x := range map[string]struct {
		path  string
		after time.Duration
		then  func(*servertest.LoginServer)
		good  bool
	}{
		"a second before its end":           {servertest.PathFormLogin, time.Hour - time.Second, nil, true},
		"at its end":                        {servertest.PathFormLogin, time.Hour, nil, false},
		"remembered, a second before":       {servertest.PathFormLogin + "?remember-me=true", 14*24*time.Hour - time.Second, nil, true},
		"remembered, at its end":            {servertest.PathFormLogin + "?remember-me=true", 14 * 24 * time.Hour, nil, false},
		"after the password was changed":    {servertest.PathFormLogin, 0, func(h *servertest.LoginServer) { changePassword(h, "alice") }, false},
		"after that of another was changed": {servertest.PathFormLogin, 0, func(h *servertest.LoginServer) { changePassword(h, "erin") }, true},
	} {
		t.Run(name, func(t *testing.T) {
			h := servertest.NewLoginServer(t)
			tok := h.TokenIn(h.Call(http.MethodPost, x.path, servertest.FormBody(servertest.CredentialFields("alice")...)))
			h.Clock.Advance(x.after)
			if x.then != nil {
				x.then(h)
			}
			if good := h.IsValid(tok); good != x.good {
				t.Errorf("good: %t", good)
			}
		})
	}
}

// A user who may not log in gets the same response, whatever the reason.
func TestLogin_RefusalsAreAlike(t *testing.T) {
	const unknown = `{"errorMessage":"the name, the password or the token is not accepted","data":null,"error":"unauthorized","error_description":"the name, the password or the token is not accepted"}` + "\n"
	for name, x := range map[string]struct {
		fields []string
		status int
		body   string // empty: any body
	}{
		"a wrong password":                  {[]string{"username", "alice@example.com", "password", "wrong"}, 401, unknown},
		"an unknown name":                   {[]string{"username", "mallory", "password", "wrong"}, 401, unknown},
		"the object's name":                 {[]string{"username", "alice", "password", servertest.Passwords["alice"]}, 401, unknown},
		"a name in other letters":           {[]string{"username", "Alice@example.com", "password", servertest.Passwords["alice"]}, 401, unknown},
		"the password of another":           {[]string{"username", "alice@example.com", "password", servertest.Passwords["dave"]}, 401, unknown},
		"the password where the name is":    {[]string{"username", servertest.Passwords["alice"], "password", "wrong"}, 401, unknown},
		"one who is suspended":              {servertest.CredentialFields("bob"), 401, unknown},
		"one without an account":            {servertest.CredentialFields("carol"), 403, ""},
		"at an account of another user":     {servertest.AppendFields(servertest.CredentialFields("dave"), "account_id", "2002"), 400, ""},
		"at an account that is not there":   {servertest.AppendFields(servertest.CredentialFields("dave"), "account_id", "9999"), 400, ""},
		"at an account that is suspended":   {servertest.AppendFields(servertest.CredentialFields("alice"), "account_id", "4004"), 400, ""},
		"a plain password, with a newline":  {[]string{"username", "dave", "password", servertest.Passwords["dave"] + "\n"}, 401, unknown},
		"a plain password, in part":         {[]string{"username", "dave", "password", servertest.Passwords["dave"][:8]}, 401, unknown},
		"a password with a space behind it": {[]string{"username", "alice@example.com", "password", servertest.Passwords["alice"] + " "}, 401, unknown},
	} {
		h := servertest.NewLoginServer(t)
		for _, path := range []string{servertest.PathFormLogin, "/auth/login"} {
			got := h.Call(http.MethodPost, path, servertest.FormBody(x.fields...))
			if got.Status != x.status || path == servertest.PathFormLogin && x.body != "" && got.Body != x.body {
				t.Errorf("%s at %s: %d %s", name, path, got.Status, got.Body)
			}
			if got.Status == http.StatusUnauthorized && got.Header.Get("Www-Authenticate") == "" || got.Header.Get("X-Security-Token") != "" {
				t.Errorf("%s at %s: %v", name, path, got.Header)
			}
		}
		if h.Store.WriteCounts() != [2]int{} { // [row 21]
			t.Errorf("%s: something was written", name)
		}
		if said := h.AuditLog.Text(); said == "" {
			t.Errorf("%s: the audit log says nothing", name)
		}
		h.CheckNoSecretInAudit()
	}
}

func TestLogin_AcceptsEveryEncodingOfCredentials(t *testing.T) {
	h := servertest.NewLoginServer(t)
	for user, client := range map[string]string{"alice": "acme", "dave": "acme", "erin": "umbrella"} {
		for name, body := range map[string]servertest.RequestOption{"a form": servertest.FormBody(servertest.CredentialFields(user)...), "parts": servertest.MultipartBody(servertest.CredentialFields(user)...), "Basic": servertest.Basic(user)} {
			got := h.Call(http.MethodPost, servertest.PathFormLogin, body)
			if tok := h.TokenIn(got); h.Members(got)["client"] != client || !h.IsValid(tok) {
				t.Errorf("%s, by %s: %s", user, name, got.Body)
			}
		}
	}
}
