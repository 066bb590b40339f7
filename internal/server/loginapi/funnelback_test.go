package server_test

import (
	"net/http"
	"testing"
	"time"
)

const formLogin = "/admin-api/account/v1/login"

// The requests of programs for Funnelback 15, and the responses that they expect.
func TestFunnelback_LoginByFormReturnsTokenInHeader(t *testing.T) {
	h := newLoginServer(t)
	alice := credentialFields("alice")
	written := `{"username":"alice@example.com","password":"` + passwords["alice"] + `"`
	for name, x := range map[string]struct {
		path     string
		body     requestOption
		lifetime time.Duration
		client   string
	}{
		"as it is documented":              {formLogin + "?remember-me=true", formBody(alice...), 14 * 24 * time.Hour, "acme"},
		"without the first prefix":         {"/account/v1/login?remember-me=true", formBody(alice...), 14 * 24 * time.Hour, "acme"},
		"without being remembered":         {formLogin, formBody(alice...), time.Hour, "acme"},
		"remembered in so many words: no":  {formLogin + "?remember-me=false", formBody(alice...), time.Hour, "acme"},
		"remembered, in the form":          {formLogin, formBody(appendFields(alice, "remember-me", "1")...), 14 * 24 * time.Hour, "acme"},
		"in parts":                         {formLogin, multipartBody(appendFields(alice, "remember-me", "true")...), 14 * 24 * time.Hour, "acme"},
		"in JSON":                          {formLogin, jsonBody(written + `,"remember-me":true}`), 14 * 24 * time.Hour, "acme"},
		"at another account":               {formLogin, formBody(appendFields(alice, "account_id", "2002")...), 4 * 24 * time.Hour, "umbrella"},
		"at another account, in the query": {formLogin + "?account_id=2002", formBody(alice...), 4 * 24 * time.Hour, "umbrella"},
		"at another account, in JSON":      {formLogin, jsonBody(written + `,"account_id":2002}`), 4 * 24 * time.Hour, "umbrella"},
		"by Basic":                         {formLogin, basic("alice"), time.Hour, "acme"},
		"with more fields than are known":  {formLogin, formBody(appendFields(alice, "_csrf", "x", "submit", "")...), time.Hour, "acme"},
	} {
		got := h.call(http.MethodPost, x.path, x.body)
		tok := h.token(got)
		said := h.read(got)
		if got.header.Get("Cache-Control") != "no-store" || got.header.Get("Set-Cookie") != "" || tok[:4] != "atl_" {
			t.Errorf("%s: %v", name, got.header)
		}
		if said["expiresAt"] != fixtureTime.Add(x.lifetime).Format(time.RFC3339) || said["client"] != x.client || said["username"] != "alice@example.com" {
			t.Errorf("%s: %s", name, got.body)
		}
		if keys := h.keys(got); keys != "accountId client expiresAt username" { // [row 8]
			t.Errorf("%s: %s", name, keys)
		}
		if id := h.call(http.MethodGet, "/verify?client="+x.client, securityToken(tok)); id.status != http.StatusOK || id.header.Get("X-Apptoken-User") != "alice" {
			t.Errorf("%s: the token: %d %v", name, id.status, id.header)
		}
	}
	h.checkNoSecretInAudit()
}

func TestLogin_EndsAtExpiryAndPasswordChange(t *testing.T) {
	for name, x := range map[string]struct {
		path  string
		after time.Duration
		then  func(*loginFixture)
		good  bool
	}{
		"a second before its end":         {formLogin, time.Hour - time.Second, nil, true},
		"at its end":                      {formLogin, time.Hour, nil, false},
		"remembered, a second before":     {formLogin + "?remember-me=true", 14*24*time.Hour - time.Second, nil, true},
		"remembered, at its end":          {formLogin + "?remember-me=true", 14 * 24 * time.Hour, nil, false},
		"after the password was changed":  {formLogin, 0, func(h *loginFixture) { h.changePassword("alice") }, false},
		"after another one's was changed": {formLogin, 0, func(h *loginFixture) { h.changePassword("erin") }, true},
	} {
		t.Run(name, func(t *testing.T) {
			h := newLoginServer(t)
			tok := h.token(h.call(http.MethodPost, x.path, formBody(credentialFields("alice")...)))
			h.clock.advance(x.after)
			if x.then != nil {
				x.then(h)
			}
			if good := h.isValid(tok); good != x.good {
				t.Errorf("good: %t", good)
			}
		})
	}
}

// A user who may not log in gets the same response, whatever the reason.
func TestLogin_RefusalsAreAlike(t *testing.T) {
	const unknown = `{"error":"unauthorized","error_description":"the name, the password or the token is not accepted"}` + "\n"
	for name, x := range map[string]struct {
		fields []string
		status int
		body   string // empty: any body
	}{
		"a wrong password":                  {[]string{"username", "alice@example.com", "password", "wrong"}, 401, unknown},
		"an unknown name":                   {[]string{"username", "mallory", "password", "wrong"}, 401, unknown},
		"the object's name":                 {[]string{"username", "alice", "password", passwords["alice"]}, 401, unknown},
		"a name in other letters":           {[]string{"username", "Alice@example.com", "password", passwords["alice"]}, 401, unknown},
		"the password of another":           {[]string{"username", "alice@example.com", "password", passwords["dave"]}, 401, unknown},
		"the password where the name is":    {[]string{"username", passwords["alice"], "password", "wrong"}, 401, unknown},
		"one who is suspended":              {credentialFields("bob"), 401, unknown},
		"one without an account":            {credentialFields("carol"), 403, ""},
		"at an account of another user":     {appendFields(credentialFields("dave"), "account_id", "2002"), 400, ""},
		"at an account that is not there":   {appendFields(credentialFields("dave"), "account_id", "9999"), 400, ""},
		"at an account that is suspended":   {appendFields(credentialFields("alice"), "account_id", "4004"), 400, ""},
		"a plain password, with a newline":  {[]string{"username", "dave", "password", passwords["dave"] + "\n"}, 401, unknown},
		"a plain password, in part":         {[]string{"username", "dave", "password", passwords["dave"][:8]}, 401, unknown},
		"a password with a space behind it": {[]string{"username", "alice@example.com", "password", passwords["alice"] + " "}, 401, unknown},
	} {
		h := newLoginServer(t)
		for _, path := range []string{formLogin, "/auth/login"} {
			got := h.call(http.MethodPost, path, formBody(x.fields...))
			if got.status != x.status || path == formLogin && x.body != "" && got.body != x.body {
				t.Errorf("%s at %s: %d %s", name, path, got.status, got.body)
			}
			if got.status == http.StatusUnauthorized && got.header.Get("Www-Authenticate") == "" || got.header.Get("X-Security-Token") != "" {
				t.Errorf("%s at %s: %v", name, path, got.header)
			}
		}
		if h.store.writeCounts() != [2]int{} { // [row 21]
			t.Errorf("%s: something was written", name)
		}
		if said := h.audit.text(); said == "" {
			t.Errorf("%s: the audit log says nothing", name)
		}
		h.checkNoSecretInAudit()
	}
}

func TestLogin_AcceptsEveryEncodingOfCredentials(t *testing.T) {
	h := newLoginServer(t)
	for user, client := range map[string]string{"alice": "acme", "dave": "acme", "erin": "umbrella"} {
		for name, body := range map[string]requestOption{"a form": formBody(credentialFields(user)...), "parts": multipartBody(credentialFields(user)...), "Basic": basic(user)} {
			got := h.call(http.MethodPost, formLogin, body)
			if tok := h.token(got); h.read(got)["client"] != client || !h.isValid(tok) {
				t.Errorf("%s, by %s: %s", user, name, got.body)
			}
		}
	}
}

// changePassword changes the password of a user.
func (h *loginFixture) changePassword(user string) {
	u, _ := h.directory.User(user)
	u.Credential = "two"
	h.directory.SetUser(u)
	h.indexUser(u)
}
