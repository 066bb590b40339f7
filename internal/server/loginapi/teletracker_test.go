package server_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	auditlog "github.com/apptoken/operator/internal/audit"
	"github.com/apptoken/operator/internal/server/endpoint"
)

const pairKeys = "guid refreshToken refreshTokenExpiration success token tokenExpiration tokenLifetime"

var uuidPattern = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[48][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func TestTeleTracker_LoginReturnsPair(t *testing.T) {
	h := newLoginServer(t)
	alice := credentialFields("alice")
	written := `{"username":"alice@example.com","password":"` + passwords["alice"] + `"`
	for name, x := range map[string]struct {
		path   string
		body   []requestOption
		client string
	}{
		"by form":                              {"", []requestOption{formBody(alice...)}, "acme"},
		"in parts":                             {"", []requestOption{multipartBody(alice...)}, "acme"},
		"in JSON":                              {"", []requestOption{jsonBody(written + "}")}, "acme"},
		"at an account":                        {"", []requestOption{formBody(appendFields(alice, "account_id", "2002")...)}, "umbrella"},
		"at an account, in JSON":               {"", []requestOption{jsonBody(written + `,"account_id":2002}`)}, "umbrella"},
		"at an account, as text in JSON":       {"", []requestOption{jsonBody(written + `,"account_id":"2002"}`)}, "umbrella"},
		"at an account, in parts":              {"", []requestOption{multipartBody(appendFields(alice, "account_id", "2002")...)}, "umbrella"},
		"at an account, in the query":          {"?account_id=2002", []requestOption{formBody(alice...)}, "umbrella"},
		"with null for an account":             {"", []requestOption{jsonBody(written + `,"account_id":null}`)}, "acme"},
		"not to check the password alone":      {"", []requestOption{formBody(appendFields(alice, "auth_only", "0")...)}, "acme"},
		"by Basic":                             {"", []requestOption{basic("alice")}, "acme"},
		"by Basic, in the query at an account": {"?account_id=2002", []requestOption{basic("alice")}, "umbrella"},
		"by Basic, and the account in a form":  {"", []requestOption{basic("alice"), formBody("account_id", "2002")}, "umbrella"},
		"by Integrator":                        {"?account_id=2002", []requestOption{integrator("alice")}, "umbrella"},
		"by Integrator, and a form":            {"", []requestOption{integrator("alice"), formBody("account_id", "1001")}, "acme"},
	} {
		got := h.call(http.MethodPost, "/auth/login"+x.path, x.body...)
		tok := h.token(got, "token")
		h.token(got, "refreshToken")
		said := h.read(got)
		lifetime := map[string]time.Duration{"acme": time.Hour, "umbrella": 4 * 24 * time.Hour}[x.client]
		if keys := h.keys(got); keys != pairKeys { // [row 8]
			t.Errorf("%s: %s", name, keys)
		}
		if said["success"] != true || !uuidPattern.MatchString(said["guid"].(string)) || said["tokenLifetime"] != lifetime.Seconds() {
			t.Errorf("%s: %s", name, got.body)
		}
		if said["tokenExpiration"] != fixtureTime.Add(lifetime).Format("2006-01-02T15:04:05")+"+00:00" || said["refreshTokenExpiration"] != "2026-03-31T12:00:00+00:00" {
			t.Errorf("%s: %s", name, got.body)
		}
		if got.header.Get("Cache-Control") != "no-store" || len(got.header.Values("Set-Cookie")) > 0 {
			t.Errorf("%s: %v", name, got.header)
		}
		for how, as := range map[string]requestOption{"Authorization": bearer(tok), "Authentication": authentication(tok)} {
			if id := h.call(http.MethodGet, "/verify?client="+x.client, as); id.status != http.StatusOK {
				t.Errorf("%s, by %s: %d", name, how, id.status)
			}
		}
	}
	h.checkNoSecretInAudit()
}

func TestTeleTracker_AuthOnlyOpensNoLogin(t *testing.T) {
	h := newLoginServer(t)
	for name, body := range map[string]requestOption{
		"in a form": formBody(appendFields(credentialFields("alice"), "auth_only", "1")...), "in parts": multipartBody(appendFields(credentialFields("alice"), "auth_only", "1")...),
		"in JSON": jsonBody(`{"username":"dave","password":"` + passwords["dave"] + `","auth_only":1}`),
		"as true": jsonBody(`{"username":"dave","password":"` + passwords["dave"] + `","auth_only":true}`),
	} {
		if got := h.call(http.MethodPost, "/auth/login", body); got.status != http.StatusOK || got.body != `{"success":true}`+"\n" {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	if got := h.call(http.MethodPost, "/auth/login", formBody("username", "dave", "password", "wrong", "auth_only", "1")); got.status != 401 || h.read(got)["success"] != false {
		t.Errorf("a wrong one: %d %s", got.status, got.body)
	}
	if got := h.call(http.MethodPost, "/auth/login", formBody(appendFields(credentialFields("dave"), "auth_only", "1", "account_id", "2002")...)); got.status != 400 {
		t.Errorf("of another user's account: %d %s", got.status, got.body)
	}
	if h.store.writeCounts() != [2]int{} {
		t.Error("something was written")
	}
	if lines := h.audit.events(t, auditlog.LoginChecked); len(lines) != 4 || lines[0]["protocol"] != "teletracker" || lines[0]["user"] == nil || lines[0]["client"] == nil {
		t.Errorf("the audit log has %v, want a line of each password that was right", lines)
	}
	h.checkNoSecretInAudit()
}

func TestTeleTracker_FailuresAreMarked(t *testing.T) {
	h := newLoginServer(t)
	app := h.appToken("reader")
	for name, x := range map[string]struct {
		path   string
		parts  []requestOption
		status int
		keys   string
	}{
		"a wrong password":                      {"/auth/login", []requestOption{formBody("username", "dave", "password", "x")}, 401, "error error_description success"},
		"no password":                           {"/auth/login", []requestOption{formBody("username", "dave")}, 400, "error error_description field success"},
		"a name in the body, and in the header": {"/auth/login", []requestOption{basic("dave"), formBody("username", "dave")}, 400, "error error_description field success"},
		"a password there too":                  {"/auth/login", []requestOption{basic("dave"), formBody("password", "x")}, 400, "error error_description field success"},
		"Basic that cannot be read":             {"/auth/login", []requestOption{header("Authorization", "Basic !")}, 401, "error error_description success"},
		"Basic twice":                           {"/auth/login", []requestOption{basic("dave"), basic("dave")}, 401, "error error_description success"},
		"Basic, from another site":              {"/auth/login", []requestOption{basic("dave"), header("Sec-Fetch-Site", "cross-site")}, 401, "error error_description success"},
		"an integrator who says no account":     {"/auth/login", []requestOption{integrator("alice")}, 400, "error error_description field success"},
		"one without an account":                {"/auth/login", []requestOption{formBody(credentialFields("carol")...)}, 403, "error error_description success"},
		"a refresh token that is none":          {"/auth/refresh", []requestOption{formBody("refresh_token", "x")}, 401, "error error_description success"},
		"a refresh token that is a token":       {"/auth/refresh", []requestOption{formBody("refresh_token", app)}, 401, "error error_description success"},
		"no refresh token":                      {"/auth/refresh", nil, 400, "error error_description field success"},
		"another account, no credential":        {"/auth/masquerade", []requestOption{formBody("account_id", "2002")}, 401, "error error_description success"},
		"another account for a program":         {"/auth/masquerade", []requestOption{bearer(app), formBody("account_id", "2002")}, 403, "error error_description success"},
		"no account":                            {"/auth/masquerade", []requestOption{bearer(app)}, 400, "error error_description field success"},
		"the end of nothing":                    {"/auth/logout", nil, 401, "error error_description success"},
		"the end of a program's token":          {"/auth/logout", []requestOption{bearer(app)}, 403, "error error_description success"},
	} {
		got := h.call(http.MethodPost, x.path, x.parts...)
		if got.status != x.status || h.keys(got) != x.keys || h.read(got)["success"] != false {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
		if (got.header.Get("Www-Authenticate") != "") != (got.status == 401) {
			t.Errorf("%s: %v", name, got.header)
		}
	}
	if !h.isValid(app) {
		t.Error("the program's token ended")
	}
	h.checkNoSecretInAudit()
}

func TestRefresh_ReturnsNewPairAndEndsOld(t *testing.T) {
	for name, encode := range map[string]func(...string) requestOption{
		"a form": formBody, "parts": multipartBody, "JSON": func(pairs ...string) requestOption { return jsonBody(`{"` + pairs[0] + `":"` + pairs[1] + `"}`) },
	} {
		h := newLoginServer(t)
		first := h.call(http.MethodPost, "/auth/login", formBody(credentialFields("alice")...))
		tok, refresh := h.token(first, "token"), h.token(first, "refreshToken")
		h.clock.advance(2 * time.Hour) // the token has expired, its session has not
		if h.isValid(tok) {
			t.Errorf("%s: the token is good after its end", name)
		}
		second := h.call(http.MethodPost, "/auth/refresh", encode("refresh_token", refresh))
		if h.keys(second) != pairKeys || h.read(second)["guid"] == h.read(first)["guid"] || !h.isValid(h.token(second, "token")) {
			t.Errorf("%s: %d %s", name, second.status, second.body)
		}
		// The first response was lost. [row 18]
		again := h.call(http.MethodPost, "/auth/refresh", encode("refresh_token", refresh))
		if !h.isValid(h.token(again, "token")) || h.isValid(h.token(second, "token")) {
			t.Errorf("%s: a retry: %d %s", name, again.status, again.body)
		}
		h.clock.advance(time.Minute)
		if got := h.call(http.MethodPost, "/auth/refresh", encode("refresh_token", refresh)); got.status != 401 {
			t.Errorf("%s: a replay: %d %s", name, got.status, got.body)
		}
		if h.isValid(h.token(again, "token")) {
			t.Errorf("%s: the session goes on after a theft", name)
		}
		if got := h.call(http.MethodPost, "/auth/refresh?refresh_token="+refresh); got.status != 400 || strings.Contains(got.body, refresh) {
			t.Errorf("%s, in the address: %d %s", name, got.status, got.body)
		}
		h.checkNoSecretInAudit()
	}
}

func TestMasquerade_LiveSessionMovesToAnotherAccount(t *testing.T) {
	h := newLoginServer(t)
	first := h.call(http.MethodPost, "/auth/login", formBody(credentialFields("alice")...))
	tok, refresh := h.token(first, "token"), h.token(first, "refreshToken")
	for name, x := range map[string]struct {
		parts  []requestOption
		status int
	}{
		"to an account of another user":        {[]requestOption{bearer(tok), formBody("account_id", "9999")}, 400},
		"to one that is suspended":             {[]requestOption{bearer(tok), formBody("account_id", "4004")}, 400},
		"by a cookie":                          {[]requestOption{cookies(credentialCookie + tok), formBody("account_id", "2002")}, 401},
		"by the refresh token":                 {[]requestOption{bearer(refresh), formBody("account_id", "2002")}, 401},
		"by two headers":                       {[]requestOption{bearer(tok), securityToken(tok), formBody("account_id", "2002")}, 401},
		"by name":                              {[]requestOption{basic("alice"), formBody("account_id", "2002")}, 401},
		"to one that is no number":             {[]requestOption{bearer(tok), formBody("account_id", "umbrella")}, 400},
		"to two":                               {[]requestOption{bearer(tok), formBody("account_id", "2002", "account_id", "1001")}, 400},
		"to one in the query, and in the body": {[]requestOption{bearer(tok), formBody("account_id", "2002"), queryString("account_id=2002")}, 400},
	} {
		if got := h.call(http.MethodPost, "/auth/masquerade", x.parts...); got.status != x.status || !h.isValid(tok) {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	second := h.call(http.MethodPost, "/auth/masquerade", bearer(tok), formBody("account_id", "2002"))
	next := h.token(second, "token")
	if h.keys(second) != pairKeys || h.isValid(tok) || h.call(http.MethodGet, "/verify?client=umbrella&role=reader", bearer(next)).status != http.StatusOK {
		t.Errorf("%d %s", second.status, second.body)
	}
	if got := h.call(http.MethodPost, "/auth/refresh", formBody("refresh_token", refresh)); got.status != 401 {
		t.Errorf("the refresh token before: %d %s", got.status, got.body)
	}
	back := h.call(http.MethodPost, "/auth/masquerade", authentication(next), jsonBody(`{"account_id":1001}`))
	if h.token(back, "token"); back.status != http.StatusOK {
		t.Errorf("back: %d %s", back.status, back.body)
	}
	h.checkNoSecretInAudit()
}

// A login of another protocol has no refresh token, and gets none by a change of account.
func TestMasquerade_WorksWithoutRefreshToken(t *testing.T) {
	h := newLoginServer(t)
	tok := h.token(h.call(http.MethodPost, formLogin, formBody(credentialFields("alice")...)))
	got := h.call(http.MethodPost, "/auth/masquerade", securityToken(tok), formBody("account_id", "2002"))
	if h.token(got, "token"); h.keys(got) != "guid success token tokenExpiration tokenLifetime" {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestLogout_EndsCallingLoginOnly(t *testing.T) {
	for name, how := range map[string]func(string) requestOption{
		"Authorization": bearer, "Authentication": authentication, "X-Security-Token": securityToken, "a cookie": func(tok string) requestOption { return cookies(credentialCookie + tok) },
	} {
		h := newLoginServer(t)
		first := h.call(http.MethodPost, "/auth/login", formBody(credentialFields("alice")...))
		tok, refresh, other := h.token(first, "token"), h.token(first, "refreshToken"), h.login("alice")
		if got := h.call(http.MethodPost, "/auth/logout", how(tok)); got.status != http.StatusOK || got.body != `{"success":true}`+"\n" {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
		if h.isValid(tok) || !h.isValid(other) {
			t.Errorf("%s: it goes on, or another ended", name)
		}
		if got := h.call(http.MethodPost, "/auth/refresh", formBody("refresh_token", refresh)); got.status != 401 {
			t.Errorf("%s: its refresh token: %d", name, got.status)
		}
		if got := h.call(http.MethodPost, "/auth/logout", how(tok)); got.status != 401 {
			t.Errorf("%s: once more: %d", name, got.status)
		}
		h.checkNoSecretInAudit()
	}
}

func TestMasquerade_SameAccountIsABadRequest(t *testing.T) {
	h := newLoginServer(t)
	for name, tok := range map[string]string{
		"a login with a refresh token": h.login("alice"),
		"one without":                  h.token(h.call(http.MethodPost, formLogin, formBody(credentialFields("alice")...))),
	} {
		got := h.call(http.MethodPost, "/auth/masquerade", bearer(tok), formBody("account_id", "1001"))
		if got.status != http.StatusBadRequest || h.read(got)["field"] != "account_id" || !strings.Contains(got.body, "already") || !h.isValid(tok) {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	h.checkNoSecretInAudit()
}

// umbrella lets logins live for four days, and acme for an hour.
func TestMasquerade_ExpirationsDoNotMoveToLater(t *testing.T) {
	h := newLoginServer(t)
	first := h.call(http.MethodPost, "/auth/login", formBody(credentialFields("alice")...))
	tok := h.token(first, "token")
	h.clock.advance(time.Minute)
	second := h.call(http.MethodPost, "/auth/masquerade", bearer(tok), formBody("account_id", "2002"))
	before, after := h.read(first), h.read(second)
	for _, field := range []string{"tokenExpiration", "refreshTokenExpiration"} {
		if before[field] != after[field] {
			t.Errorf("%s is %v, and was %v", field, after[field], before[field])
		}
	}
	if after["tokenLifetime"] != 3540.0 {
		t.Errorf("tokenLifetime is %v", after["tokenLifetime"])
	}
}

// Each attempt reads from the API server, whichever account it names.
func TestMasquerade_BudgetPerCaller(t *testing.T) {
	h := newLoginServer(t)
	h.Endpoints.Budget = endpoint.NewBudget(endpoint.BudgetOptions{PerCaller: 1})
	tok := h.login("alice")
	got := h.call(http.MethodPost, "/auth/masquerade", bearer(tok), formBody("account_id", "9999"))
	for range 10 { // the clock stands still
		if got.status != http.StatusBadRequest {
			break
		}
		got = h.call(http.MethodPost, "/auth/masquerade", bearer(tok), formBody("account_id", "9999"))
	}
	if got.status != http.StatusTooManyRequests || got.header.Get("Retry-After") == "" || h.read(got)["success"] != false {
		t.Errorf("%d %v %s", got.status, got.header, got.body)
	}
	if other := h.login("dave"); h.call(http.MethodPost, "/auth/masquerade", bearer(other), formBody("account_id", "9999")).status != http.StatusBadRequest {
		t.Error("the budget of one user is that of another")
	}
}
