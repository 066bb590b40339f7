package server_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	auditlog "github.com/apptoken/operator/internal/audit"
	"github.com/apptoken/operator/internal/server"
)

const pairKeys = "guid refreshToken refreshTokenExpiration success token tokenExpiration tokenLifetime"

var uuids = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[48][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func TestTeleTrackerLogsInAndAnswersWithAPair(t *testing.T) {
	h := newOpenInn(t)
	alice := credentials("alice")
	written := `{"username":"alice@example.com","password":"` + passwords["alice"] + `"`
	for name, x := range map[string]struct {
		path   string
		body   []part
		client string
	}{
		"by form":                              {"", []part{fielded(alice...)}, "acme"},
		"in parts":                             {"", []part{parted(alice...)}, "acme"},
		"in JSON":                              {"", []part{object(written + "}")}, "acme"},
		"at an account":                        {"", []part{fielded(with(alice, "account_id", "2002")...)}, "umbrella"},
		"at an account, in JSON":               {"", []part{object(written + `,"account_id":2002}`)}, "umbrella"},
		"at an account, as text in JSON":       {"", []part{object(written + `,"account_id":"2002"}`)}, "umbrella"},
		"at an account, in parts":              {"", []part{parted(with(alice, "account_id", "2002")...)}, "umbrella"},
		"at an account, in the query":          {"?account_id=2002", []part{fielded(alice...)}, "umbrella"},
		"with null for an account":             {"", []part{object(written + `,"account_id":null}`)}, "acme"},
		"not to check the password alone":      {"", []part{fielded(with(alice, "auth_only", "0")...)}, "acme"},
		"by Basic":                             {"", []part{basic("alice")}, "acme"},
		"by Basic, in the query at an account": {"?account_id=2002", []part{basic("alice")}, "umbrella"},
		"by Basic, and the account in a form":  {"", []part{basic("alice"), fielded("account_id", "2002")}, "umbrella"},
		"by Integrator":                        {"?account_id=2002", []part{integrator("alice")}, "umbrella"},
		"by Integrator, and a form":            {"", []part{integrator("alice"), fielded("account_id", "1001")}, "acme"},
	} {
		got := h.call(http.MethodPost, "/auth/login"+x.path, x.body...)
		tok := h.token(got, "token")
		h.token(got, "refreshToken")
		said := h.read(got)
		lifetime := map[string]time.Duration{"acme": time.Hour, "umbrella": 4 * 24 * time.Hour}[x.client]
		if keys := h.keys(got); keys != pairKeys { // [row 8]
			t.Errorf("%s: %s", name, keys)
		}
		if said["success"] != true || !uuids.MatchString(said["guid"].(string)) || said["tokenLifetime"] != lifetime.Seconds() {
			t.Errorf("%s: %s", name, got.body)
		}
		if said["tokenExpiration"] != opened.Add(lifetime).Format("2006-01-02T15:04:05")+"+00:00" || said["refreshTokenExpiration"] != "2026-03-31T12:00:00+00:00" {
			t.Errorf("%s: %s", name, got.body)
		}
		if got.header.Get("Cache-Control") != "no-store" || len(got.header.Values("Set-Cookie")) > 0 {
			t.Errorf("%s: %v", name, got.header)
		}
		for how, as := range map[string]part{"Authorization": bearer(tok), "Authentication": authentication(tok)} {
			if id := h.call(http.MethodGet, "/verify?client="+x.client, as); id.status != http.StatusOK {
				t.Errorf("%s, by %s: %d", name, how, id.status)
			}
		}
	}
	h.clean()
}

func TestAPasswordIsCheckedWithoutALogin(t *testing.T) {
	h := newOpenInn(t)
	for name, body := range map[string]part{
		"in a form": fielded(with(credentials("alice"), "auth_only", "1")...), "in parts": parted(with(credentials("alice"), "auth_only", "1")...),
		"in JSON": object(`{"username":"dave","password":"` + passwords["dave"] + `","auth_only":1}`),
		"as true": object(`{"username":"dave","password":"` + passwords["dave"] + `","auth_only":true}`),
	} {
		if got := h.call(http.MethodPost, "/auth/login", body); got.status != http.StatusOK || got.body != `{"success":true}`+"\n" {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	if got := h.call(http.MethodPost, "/auth/login", fielded("username", "dave", "password", "wrong", "auth_only", "1")); got.status != 401 || h.read(got)["success"] != false {
		t.Errorf("a wrong one: %d %s", got.status, got.body)
	}
	if got := h.call(http.MethodPost, "/auth/login", fielded(with(credentials("dave"), "auth_only", "1", "account_id", "2002")...)); got.status != 400 {
		t.Errorf("of somebody else's account: %d %s", got.status, got.body)
	}
	if h.books.written() != [2]int{} {
		t.Error("something was written")
	}
	if lines := h.audit.events(t, auditlog.LoginChecked); len(lines) != 4 || lines[0]["protocol"] != "teletracker" || lines[0]["user"] == nil || lines[0]["client"] == nil {
		t.Errorf("the audit log has %v, want a line of each password that was right", lines)
	}
	h.clean()
}

func TestFailuresSayThatTheyAreNone(t *testing.T) {
	h := newOpenInn(t)
	app := h.appToken("reader")
	for name, x := range map[string]struct {
		path   string
		parts  []part
		status int
		keys   string
	}{
		"a wrong password":                      {"/auth/login", []part{fielded("username", "dave", "password", "x")}, 401, "error error_description success"},
		"no password":                           {"/auth/login", []part{fielded("username", "dave")}, 400, "error error_description field success"},
		"a name in the body, and in the header": {"/auth/login", []part{basic("dave"), fielded("username", "dave")}, 400, "error error_description field success"},
		"a password there too":                  {"/auth/login", []part{basic("dave"), fielded("password", "x")}, 400, "error error_description field success"},
		"Basic that cannot be read":             {"/auth/login", []part{header("Authorization", "Basic !")}, 401, "error error_description success"},
		"Basic twice":                           {"/auth/login", []part{basic("dave"), basic("dave")}, 401, "error error_description success"},
		"Basic, from another site":              {"/auth/login", []part{basic("dave"), header("Sec-Fetch-Site", "cross-site")}, 401, "error error_description success"},
		"an integrator who says no account":     {"/auth/login", []part{integrator("alice")}, 400, "error error_description field success"},
		"one without an account":                {"/auth/login", []part{fielded(credentials("carol")...)}, 403, "error error_description success"},
		"a refresh token that is none":          {"/auth/refresh", []part{fielded("refresh_token", "x")}, 401, "error error_description success"},
		"a refresh token that is a token":       {"/auth/refresh", []part{fielded("refresh_token", app)}, 401, "error error_description success"},
		"no refresh token":                      {"/auth/refresh", nil, 400, "error error_description field success"},
		"another account for nobody":            {"/auth/masquerade", []part{fielded("account_id", "2002")}, 401, "error error_description success"},
		"another account for a program":         {"/auth/masquerade", []part{bearer(app), fielded("account_id", "2002")}, 403, "error error_description success"},
		"no account":                            {"/auth/masquerade", []part{bearer(app)}, 400, "error error_description field success"},
		"the end of nothing":                    {"/auth/logout", nil, 401, "error error_description success"},
		"the end of a program's token":          {"/auth/logout", []part{bearer(app)}, 403, "error error_description success"},
	} {
		got := h.call(http.MethodPost, x.path, x.parts...)
		if got.status != x.status || h.keys(got) != x.keys || h.read(got)["success"] != false {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
		if (got.header.Get("Www-Authenticate") != "") != (got.status == 401) {
			t.Errorf("%s: %v", name, got.header)
		}
	}
	if !h.good(app) {
		t.Error("the program's token ended")
	}
	h.clean()
}

func TestARefreshGivesANewPairAndEndsTheOldOne(t *testing.T) {
	for name, encode := range map[string]func(...string) part{
		"a form": fielded, "parts": parted, "JSON": func(pairs ...string) part { return object(`{"` + pairs[0] + `":"` + pairs[1] + `"}`) },
	} {
		h := newOpenInn(t)
		first := h.call(http.MethodPost, "/auth/login", fielded(credentials("alice")...))
		tok, refresh := h.token(first, "token"), h.token(first, "refreshToken")
		h.clock.goes(2 * time.Hour) // the token has expired, its session has not
		if h.good(tok) {
			t.Errorf("%s: the token is good after its end", name)
		}
		second := h.call(http.MethodPost, "/auth/refresh", encode("refresh_token", refresh))
		if h.keys(second) != pairKeys || h.read(second)["guid"] == h.read(first)["guid"] || !h.good(h.token(second, "token")) {
			t.Errorf("%s: %d %s", name, second.status, second.body)
		}
		// The first response was lost. [row 18]
		again := h.call(http.MethodPost, "/auth/refresh", encode("refresh_token", refresh))
		if !h.good(h.token(again, "token")) || h.good(h.token(second, "token")) {
			t.Errorf("%s: a retry: %d %s", name, again.status, again.body)
		}
		h.clock.goes(time.Minute)
		if got := h.call(http.MethodPost, "/auth/refresh", encode("refresh_token", refresh)); got.status != 401 {
			t.Errorf("%s: a replay: %d %s", name, got.status, got.body)
		}
		if h.good(h.token(again, "token")) {
			t.Errorf("%s: the session goes on after a theft", name)
		}
		if got := h.call(http.MethodPost, "/auth/refresh?refresh_token="+refresh); got.status != 400 || strings.Contains(got.body, refresh) {
			t.Errorf("%s, in the address: %d %s", name, got.status, got.body)
		}
		h.clean()
	}
}

func TestALiveSessionGoesToAnotherAccount(t *testing.T) {
	h := newOpenInn(t)
	first := h.call(http.MethodPost, "/auth/login", fielded(credentials("alice")...))
	tok, refresh := h.token(first, "token"), h.token(first, "refreshToken")
	for name, x := range map[string]struct {
		parts  []part
		status int
	}{
		"to an account of somebody else":       {[]part{bearer(tok), fielded("account_id", "9999")}, 400},
		"to one that is suspended":             {[]part{bearer(tok), fielded("account_id", "4004")}, 400},
		"by a cookie":                          {[]part{cookies(credentialCookie + tok), fielded("account_id", "2002")}, 401},
		"by the refresh token":                 {[]part{bearer(refresh), fielded("account_id", "2002")}, 401},
		"by two headers":                       {[]part{bearer(tok), security(tok), fielded("account_id", "2002")}, 401},
		"by name":                              {[]part{basic("alice"), fielded("account_id", "2002")}, 401},
		"to one that is no number":             {[]part{bearer(tok), fielded("account_id", "umbrella")}, 400},
		"to two":                               {[]part{bearer(tok), fielded("account_id", "2002", "account_id", "1001")}, 400},
		"to one in the query, and in the body": {[]part{bearer(tok), fielded("account_id", "2002"), addressed("account_id=2002")}, 400},
	} {
		if got := h.call(http.MethodPost, "/auth/masquerade", x.parts...); got.status != x.status || !h.good(tok) {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	second := h.call(http.MethodPost, "/auth/masquerade", bearer(tok), fielded("account_id", "2002"))
	next := h.token(second, "token")
	if h.keys(second) != pairKeys || h.good(tok) || h.call(http.MethodGet, "/verify?client=umbrella&role=reader", bearer(next)).status != http.StatusOK {
		t.Errorf("%d %s", second.status, second.body)
	}
	if got := h.call(http.MethodPost, "/auth/refresh", fielded("refresh_token", refresh)); got.status != 401 {
		t.Errorf("the refresh token before: %d %s", got.status, got.body)
	}
	back := h.call(http.MethodPost, "/auth/masquerade", authentication(next), object(`{"account_id":1001}`))
	if h.token(back, "token"); back.status != http.StatusOK {
		t.Errorf("back: %d %s", back.status, back.body)
	}
	h.clean()
}

// A login of another protocol has no refresh token, and gets none by a change of account.
func TestALoginWithoutARefreshTokenGoesToAnotherAccountToo(t *testing.T) {
	h := newOpenInn(t)
	tok := h.token(h.call(http.MethodPost, formLogin, fielded(credentials("alice")...)))
	got := h.call(http.MethodPost, "/auth/masquerade", security(tok), fielded("account_id", "2002"))
	if h.token(got, "token"); h.keys(got) != "guid success token tokenExpiration tokenLifetime" {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestALogoutEndsTheLoginThatCallsAndNoOther(t *testing.T) {
	for name, how := range map[string]func(string) part{
		"Authorization": bearer, "Authentication": authentication, "X-Security-Token": security, "a cookie": func(tok string) part { return cookies(credentialCookie + tok) },
	} {
		h := newOpenInn(t)
		first := h.call(http.MethodPost, "/auth/login", fielded(credentials("alice")...))
		tok, refresh, other := h.token(first, "token"), h.token(first, "refreshToken"), h.login("alice")
		if got := h.call(http.MethodPost, "/auth/logout", how(tok)); got.status != http.StatusOK || got.body != `{"success":true}`+"\n" {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
		if h.good(tok) || !h.good(other) {
			t.Errorf("%s: it goes on, or another ended", name)
		}
		if got := h.call(http.MethodPost, "/auth/refresh", fielded("refresh_token", refresh)); got.status != 401 {
			t.Errorf("%s: its refresh token: %d", name, got.status)
		}
		if got := h.call(http.MethodPost, "/auth/logout", how(tok)); got.status != 401 {
			t.Errorf("%s: once more: %d", name, got.status)
		}
		h.clean()
	}
}

func TestMasquerade_SameAccountIsABadRequest(t *testing.T) {
	h := newOpenInn(t)
	for name, tok := range map[string]string{
		"a login with a refresh token": h.login("alice"),
		"one without":                  h.token(h.call(http.MethodPost, formLogin, fielded(credentials("alice")...))),
	} {
		got := h.call(http.MethodPost, "/auth/masquerade", bearer(tok), fielded("account_id", "1001"))
		if got.status != http.StatusBadRequest || h.read(got)["field"] != "account_id" || !strings.Contains(got.body, "already") || !h.good(tok) {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	h.clean()
}

// umbrella lets logins live for four days, and acme for an hour.
func TestMasquerade_ExpirationsDoNotMoveToLater(t *testing.T) {
	h := newOpenInn(t)
	first := h.call(http.MethodPost, "/auth/login", fielded(credentials("alice")...))
	tok := h.token(first, "token")
	h.clock.goes(time.Minute)
	second := h.call(http.MethodPost, "/auth/masquerade", bearer(tok), fielded("account_id", "2002"))
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
	h := newOpenInn(t)
	h.Doors.Budget = server.NewBudget(server.BudgetOptions{PerCaller: 1})
	tok := h.login("alice")
	got := h.call(http.MethodPost, "/auth/masquerade", bearer(tok), fielded("account_id", "9999"))
	for range 10 { // the clock stands still
		if got.status != http.StatusBadRequest {
			break
		}
		got = h.call(http.MethodPost, "/auth/masquerade", bearer(tok), fielded("account_id", "9999"))
	}
	if got.status != http.StatusTooManyRequests || got.header.Get("Retry-After") == "" || h.read(got)["success"] != false {
		t.Errorf("%d %v %s", got.status, got.header, got.body)
	}
	if other := h.login("dave"); h.call(http.MethodPost, "/auth/masquerade", bearer(other), fielded("account_id", "9999")).status != http.StatusBadRequest {
		t.Error("the budget of one user is that of another")
	}
}
