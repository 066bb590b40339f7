package server_test

import (
	"net/http"
	"testing"
	"time"
)

const formLogin = "/admin-api/account/v1/login"

// The requests of programs for Funnelback 15, and the responses that they expect.
func TestFunnelbackLogsInByFormAndAnswersInAHeader(t *testing.T) {
	h := newOpenInn(t)
	alice := credentials("alice")
	written := `{"username":"alice@example.com","password":"` + passwords["alice"] + `"`
	for name, x := range map[string]struct {
		path     string
		body     part
		lifetime time.Duration
		client   string
	}{
		"as it is documented":              {formLogin + "?remember-me=true", fielded(alice...), 14 * 24 * time.Hour, "acme"},
		"without the first prefix":         {"/account/v1/login?remember-me=true", fielded(alice...), 14 * 24 * time.Hour, "acme"},
		"without being remembered":         {formLogin, fielded(alice...), time.Hour, "acme"},
		"remembered in so many words: no":  {formLogin + "?remember-me=false", fielded(alice...), time.Hour, "acme"},
		"remembered, in the form":          {formLogin, fielded(with(alice, "remember-me", "1")...), 14 * 24 * time.Hour, "acme"},
		"in parts":                         {formLogin, parted(with(alice, "remember-me", "true")...), 14 * 24 * time.Hour, "acme"},
		"in JSON":                          {formLogin, object(written + `,"remember-me":true}`), 14 * 24 * time.Hour, "acme"},
		"at another account":               {formLogin, fielded(with(alice, "account_id", "2002")...), 4 * 24 * time.Hour, "umbrella"},
		"at another account, in the query": {formLogin + "?account_id=2002", fielded(alice...), 4 * 24 * time.Hour, "umbrella"},
		"at another account, in JSON":      {formLogin, object(written + `,"account_id":2002}`), 4 * 24 * time.Hour, "umbrella"},
		"by Basic":                         {formLogin, basic("alice"), time.Hour, "acme"},
		"with more fields than are known":  {formLogin, fielded(with(alice, "_csrf", "x", "submit", "")...), time.Hour, "acme"},
	} {
		got := h.call(http.MethodPost, x.path, x.body)
		tok := h.token(got)
		said := h.read(got)
		if got.header.Get("Cache-Control") != "no-store" || got.header.Get("Set-Cookie") != "" || tok[:4] != "atl_" {
			t.Errorf("%s: %v", name, got.header)
		}
		if said["expiresAt"] != opened.Add(x.lifetime).Format(time.RFC3339) || said["client"] != x.client || said["username"] != "alice@example.com" {
			t.Errorf("%s: %s", name, got.body)
		}
		if keys := h.keys(got); keys != "accountId client expiresAt username" { // [row 8]
			t.Errorf("%s: %s", name, keys)
		}
		if id := h.call(http.MethodGet, "/verify?client="+x.client, security(tok)); id.status != http.StatusOK || id.header.Get("X-Apptoken-User") != "alice" {
			t.Errorf("%s: the token: %d %v", name, id.status, id.header)
		}
	}
	h.clean()
}

func TestALoginEndsAtItsAgeAndWhenThePasswordChanges(t *testing.T) {
	for name, x := range map[string]struct {
		path  string
		after time.Duration
		then  func(*inn)
		good  bool
	}{
		"a second before its end":         {formLogin, time.Hour - time.Second, nil, true},
		"at its end":                      {formLogin, time.Hour, nil, false},
		"remembered, a second before":     {formLogin + "?remember-me=true", 14*24*time.Hour - time.Second, nil, true},
		"remembered, at its end":          {formLogin + "?remember-me=true", 14 * 24 * time.Hour, nil, false},
		"after the password was changed":  {formLogin, 0, func(h *inn) { h.repassword("alice") }, false},
		"after another one's was changed": {formLogin, 0, func(h *inn) { h.repassword("erin") }, true},
	} {
		t.Run(name, func(t *testing.T) {
			h := newOpenInn(t)
			tok := h.token(h.call(http.MethodPost, x.path, fielded(credentials("alice")...)))
			h.clock.goes(x.after)
			if x.then != nil {
				x.then(h)
			}
			if good := h.good(tok); good != x.good {
				t.Errorf("good: %t", good)
			}
		})
	}
}

// A user who may not log in gets the same response, whatever the reason.
func TestWhoMayNotLogIn(t *testing.T) {
	const unknown = `{"error":"unauthorized","error_description":"the name, the password or the token is not accepted"}` + "\n"
	for name, x := range map[string]struct {
		fields []string
		status int
		body   string // empty: any body
	}{
		"a wrong password":                  {[]string{"username", "alice@example.com", "password", "wrong"}, 401, unknown},
		"a name that nobody has":            {[]string{"username", "mallory", "password", "wrong"}, 401, unknown},
		"the object's name":                 {[]string{"username", "alice", "password", passwords["alice"]}, 401, unknown},
		"a name in other letters":           {[]string{"username", "Alice@example.com", "password", passwords["alice"]}, 401, unknown},
		"the password of another":           {[]string{"username", "alice@example.com", "password", passwords["dave"]}, 401, unknown},
		"the password where the name is":    {[]string{"username", passwords["alice"], "password", "wrong"}, 401, unknown},
		"one who is suspended":              {credentials("bob"), 401, unknown},
		"one without an account":            {credentials("carol"), 403, ""},
		"at an account of somebody else":    {with(credentials("dave"), "account_id", "2002"), 400, ""},
		"at an account that is not there":   {with(credentials("dave"), "account_id", "9999"), 400, ""},
		"at an account that is suspended":   {with(credentials("alice"), "account_id", "4004"), 400, ""},
		"a plain password, with a newline":  {[]string{"username", "dave", "password", passwords["dave"] + "\n"}, 401, unknown},
		"a plain password, in part":         {[]string{"username", "dave", "password", passwords["dave"][:8]}, 401, unknown},
		"a password with a space behind it": {[]string{"username", "alice@example.com", "password", passwords["alice"] + " "}, 401, unknown},
	} {
		h := newOpenInn(t)
		for _, path := range []string{formLogin, "/auth/login"} {
			got := h.call(http.MethodPost, path, fielded(x.fields...))
			if got.status != x.status || path == formLogin && x.body != "" && got.body != x.body {
				t.Errorf("%s at %s: %d %s", name, path, got.status, got.body)
			}
			if got.status == http.StatusUnauthorized && got.header.Get("Www-Authenticate") == "" || got.header.Get("X-Security-Token") != "" {
				t.Errorf("%s at %s: %v", name, path, got.header)
			}
		}
		if h.books.written() != [2]int{} { // [row 21]
			t.Errorf("%s: something was written", name)
		}
		if said := h.audit.text(); said == "" {
			t.Errorf("%s: the audit log says nothing", name)
		}
		h.clean()
	}
}

func TestPeopleOfEveryKindLogIn(t *testing.T) {
	h := newOpenInn(t)
	for user, client := range map[string]string{"alice": "acme", "dave": "acme", "erin": "umbrella"} {
		for name, body := range map[string]part{"a form": fielded(credentials(user)...), "parts": parted(credentials(user)...), "Basic": basic(user)} {
			got := h.call(http.MethodPost, formLogin, body)
			if tok := h.token(got); h.read(got)["client"] != client || !h.good(tok) {
				t.Errorf("%s, by %s: %s", user, name, got.body)
			}
		}
	}
}

// repassword changes the password of a user.
func (h *inn) repassword(user string) {
	u, _ := h.people.User(user)
	u.Credential = "two"
	h.people.SetUser(u)
	h.tellIndex(u)
}
