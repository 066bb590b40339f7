package server_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/desk"
)

// [row 12]
func TestWhileTheStoreIsAwayNothingIsClaimedAndTokensGoOn(t *testing.T) {
	h := newOpenInn(t)
	first := h.call(http.MethodPost, "/auth/login", fielded(credentials("alice")...))
	tok, refresh := h.token(first, "token"), h.token(first, "refreshToken")
	session, id := h.session("60")
	app := h.appToken("developer")
	own := h.make(desk.Scope{Client: "acme", User: "alice"}, desk.Wanted{Name: "own"})
	said := h.audit.text()
	before := h.books.written()
	h.books.breaks(errors.New("the API server is away"))
	for name, x := range map[string]struct {
		method, path string
		parts        []part
	}{
		"a login by form":           {"POST", formLogin, []part{fielded(credentials("alice")...)}},
		"a login for a pair":        {"POST", "/auth/login", []part{fielded(credentials("alice")...)}},
		"a grant":                   {"POST", "/oauth2/token", []part{fielded(granting("alice")...)}},
		"a refresh":                 {"POST", "/auth/refresh", []part{fielded("refresh_token", refresh)}},
		"a refresh as a grant":      {"POST", "/oauth2/token", []part{fielded("grant_type", "refresh_token", "refresh_token", refresh)}},
		"a session token":           {"GET", sessionPath + "5", []part{basic("alice")}},
		"an open token":             {"GET", openPath + "5", []part{basic("alice")}},
		"another account":           {"POST", "/auth/masquerade", []part{bearer(tok), fielded("account_id", "2002")}},
		"a logout":                  {"POST", "/auth/logout", []part{bearer(tok)}},
		"a logout of a session":     {"GET", logoutPath, []part{bearer(session), cookies("SESSION=" + id)}},
		"a revocation":              {"POST", "/oauth2/revoke", []part{fielded("token", tok)}},
		"a revocation by a refresh": {"POST", "/oauth2/revoke", []part{fielded("token", refresh)}},
		"a list":                    {"GET", ofAcme, []part{bearer(tok)}},
		"a list of a user":          {"GET", ofUser, []part{bearer(tok)}},
		"a new token":               {"PUT", ofAcme + "/new", []part{bearer(tok)}},
		"one that is asked for":     {"GET", ofAcme + "/appdeveloper", []part{bearer(tok)}},
		"one that is not there":     {"GET", ofAcme + "/none", []part{bearer(tok)}},
		"a change":                  {"PATCH", ofAcme + "/appdeveloper", []part{bearer(tok), object(`{"state":"Suspended"}`)}},
		"a clone":                   {"POST", ofAcme + "/appdeveloper/clone", []part{bearer(tok), object(`{"name":"copy"}`)}},
		"a rotation":                {"POST", ofAcme + "/appdeveloper/rotate", []part{bearer(tok)}},
		"a rotation by name":        {"POST", ofAcme + "/appdeveloper/rotate", []part{basic("alice")}},
		"a rotation by the holder":  {"POST", "/application-tokens/v1/rotate", []part{bearer(app)}},
		"a rotation by a user's":    {"POST", ofUser + "/own/rotate", []part{bearer(own)}},
		"an end":                    {"DELETE", ofAcme + "/appdeveloper", []part{bearer(tok)}},
		"a token that nobody knows": {"GET", ofAcme, []part{bearer(h.stranger())}},
		"the logout of one":         {"POST", "/auth/logout", []part{bearer(h.stranger())}},
		"another account for one":   {"POST", "/auth/masquerade", []part{bearer(h.stranger()), fielded("account_id", "2002")}},
	} {
		got := h.call(x.method, x.path, x.parts...)
		if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") != "5" || h.read(got)["error"] != "temporarily_unavailable" || len(got.header.Values("Set-Cookie")) > 0 {
			t.Errorf("%s: %d %v %s", name, got.status, got.header, got.body)
		}
		if strings.HasPrefix(x.path, "/auth/") && h.read(got)["success"] != false {
			t.Errorf("%s: %s", name, got.body)
		}
	}
	for name, good := range map[string]bool{"a login": h.good(tok), "a session": h.good(session, cookies("SESSION="+id)), "a program": h.good(app), "a user's": h.good(own)} {
		if !good {
			t.Errorf("%s is not good any more", name)
		}
	}
	if h.books.written() != before {
		t.Error("something was written")
	}
	for line := range strings.Lines(strings.TrimPrefix(h.audit.text(), said)) {
		for _, claim := range []string{`"login.succeeded"`, `"login.ended"`, `"login.refreshed"`, `"token.revoked"`, `"token.created"`, `"token.changed"`, `"token.cloned"`, `"token.rotated"`} {
			if strings.Contains(line, claim) {
				t.Errorf("the audit log claims %s", line)
			}
		}
	}
	if count := h.ended.count("Unavailable"); count < 5 || h.ended.count("Refused") > 0 {
		t.Errorf("%d logins could not be, by the metrics: %v", count, h.ended.all)
	}
	h.books.breaks(nil)
	if got := h.call(http.MethodPost, "/auth/refresh", fielded("refresh_token", refresh)); got.status != http.StatusOK {
		t.Errorf("afterwards a refresh is %d %s", got.status, got.body)
	}
	h.clean()
}

// Before the first contact with the API server, users cannot be authenticated either.
func TestBeforeTheStoreWasHeardOfNobodyLogsIn(t *testing.T) {
	h := newInn(t)
	h.Verifier = closed(h)
	h.open(httptest.NewServer)
	for path, parts := range map[string][]part{
		"POST /auth/login": {fielded(credentials("alice")...)}, "POST /auth/refresh": {fielded("refresh_token", "x")}, "POST /oauth2/token": {fielded(granting("alice")...)},
		"GET " + sessionPath + "5": {basic("alice")}, "GET " + ofAcme: {basic("alice")}, "GET " + ofUser: {bearer(h.stranger())}, "POST " + formLogin: {basic("alice")},
	} {
		method, path, _ := strings.Cut(path, " ")
		if got := h.call(method, path, parts...); got.status != 503 || got.header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %v %s", path, got.status, got.header, got.body)
		}
	}
	// Refreshes and requests with a token are no logins.
	want := []string{"funnelback Unavailable", "management Unavailable", "oauth Unavailable", "spectrum Unavailable", "teletracker Unavailable"}
	if got := slices.Sorted(slices.Values(h.ended.all)); !slices.Equal(got, want) {
		t.Errorf("the metrics have the results %v, want %v", got, want)
	}
}

func TestWhoFailsTooOftenWaits(t *testing.T) {
	h := newOpenInn(t)
	wrong := "Basic " + encoded("dave", "wrong "+marker)
	for range 10 {
		if got := h.call(http.MethodPost, "/auth/login", header("Authorization", wrong)); got.status != 401 {
			t.Fatalf("%d %s", got.status, got.body)
		}
	}
	for call, parts := range map[string][]part{
		"POST /auth/login": {fielded(credentials("dave")...)}, "POST " + formLogin: {fielded(credentials("dave")...)}, "POST /oauth2/token": {fielded(granting("dave")...)},
		"GET " + sessionPath + "5": {basic("dave")}, "GET " + openPath + "5": {basic("dave")}, "GET " + ofAcme: {basic("dave")}, "PUT " + ofUser + "/x": {basic("dave")},
	} {
		method, path, _ := strings.Cut(call, " ")
		got := h.call(method, path, append(parts, from("203.0.113.9"))...)
		if after, err := strconv.Atoi(got.header.Get("Retry-After")); got.status != 429 || err != nil || after < 1 || after > 6 {
			t.Errorf("%s: %d %v %s", call, got.status, got.header, got.body)
		}
	}
	if got := h.call(http.MethodPost, "/auth/login", fielded(credentials("erin")...)); got.status != http.StatusOK {
		t.Errorf("another name: %d %s", got.status, got.body)
	}
	h.clock.goes(6 * time.Second)
	if got := h.call(http.MethodPost, "/auth/login", fielded(credentials("dave")...)); got.status != http.StatusOK {
		t.Errorf("a while later: %d %s", got.status, got.body)
	}
	for i := range 60 {
		h.call(http.MethodPost, "/auth/login", fielded("username", "nobody"+strconv.Itoa(i), "password", "x"), from("198.51.100.1"))
	}
	if got := h.call(http.MethodPost, "/auth/login", fielded(credentials("alice")...), from("198.51.100.1")); got.status != 429 {
		t.Errorf("an address: %d %s", got.status, got.body)
	}
	h.clean()
}

func TestAPanicBehindAProtocolIsAFailureOfThatRequest(t *testing.T) {
	h := newInn(t)
	var broken atomic.Bool
	h.Doors.Now = func() time.Time {
		if broken.CompareAndSwap(true, false) {
			panic("something unforeseen, " + marker)
		}
		return h.clock.read()
	}
	h.Counted = func(string, string) {
		if broken.CompareAndSwap(true, false) {
			panic("something unforeseen, " + marker)
		}
	}
	l, _, _ := listen(t, h.Handler(), h.audit.logger())
	h.url = "http://" + l.Addr().String()
	tok := h.login("alice")
	for name, x := range map[string]func() reply{
		"a login":   func() reply { return h.visit(http.MethodPost, "/auth/login", fielded(credentials("alice")...)) },
		"a session": func() reply { return h.visit(http.MethodGet, sessionPath+"5", basic("alice")) },
		"a list":    func() reply { return h.visit(http.MethodGet, ofAcme, bearer(tok)) },
	} {
		broken.Store(true)
		if got := x(); got.status != 500 || strings.Contains(got.body, "unforeseen") || h.read(got)["error"] != "server_error" {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
		if got := x(); got.status != 200 {
			t.Errorf("%s, once more: %d %s", name, got.status, got.body)
		}
	}
}
