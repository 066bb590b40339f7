package server_test

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/server"
	"github.com/apptoken/operator/internal/testing/servertest"
)

// checkFault asserts that an error response has a status, and the members that programs of the
// path's protocol test.
func checkFault(t *testing.T, h *servertest.LoginServer, what string, got servertest.Response, status int) {
	t.Helper()
	said := h.Members(got)
	data, hasData := said["data"]
	reason, isText := said["error_description"].(string)
	success, hasSuccess := said["success"]
	isEnvelope := hasData && data == nil && said["errorMessage"] == reason
	if strings.HasPrefix(what, "TeleTracker") {
		if success != false || hasData {
			t.Errorf("%s: %s, want success and no envelope", what, got.Body)
		}
	} else if !isEnvelope || hasSuccess {
		t.Errorf("%s: %s, want errorMessage and data", what, got.Body)
	}
	if got.Status != status || !isText || reason == "" || said["error"] == "" || got.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: %d %v %s, want %d", what, got.Status, got.Header, got.Body, status)
	}
}

// Every answer below a path of a protocol is one that its programs can read, whichever code writes
// it.
func TestFaultFormat_EveryErrorHasMembersOfItsProtocol(t *testing.T) {
	h := servertest.NewLoginServer(t)
	alice, dave := servertest.Bearer(h.Login("alice")), servertest.Bearer(h.Login("dave"))
	h.AppToken("reader")
	large := servertest.RawBody(servertest.ContentTypeForm, "x="+strings.Repeat("a", 1<<20))
	xml := servertest.RawBody("application/xml", "<x/>")
	wrong := servertest.FormBody("username", "alice@example.com", "password", "wrong")
	one, clone := servertest.PathAcmeTokens+"/appreader", servertest.PathAcmeTokens+"/appreader/clone"
	for name, x := range map[string]struct {
		method, path string
		parts        []servertest.RequestOption
		status       int
	}{
		"TeleTracker, the prefix alone":        {"GET", "/auth", nil, 404},
		"TeleTracker, the prefix and a slash":  {"GET", "/auth/", nil, 404},
		"TeleTracker, an unknown path":         {"POST", "/auth/nothing", nil, 404},
		"TeleTracker, below a path":            {"POST", "/auth/login/", nil, 404},
		"TeleTracker, an escaped slash":        {"POST", "/auth/a%2Fb", nil, 404},
		"TeleTracker, another method":          {"GET", "/auth/login", nil, 405},
		"TeleTracker, a method of none":        {"PROPFIND", "/auth/refresh", nil, 405},
		"TeleTracker, a large body":            {"POST", "/auth/login", []servertest.RequestOption{large}, 413},
		"TeleTracker, another type":            {"POST", "/auth/refresh", []servertest.RequestOption{xml}, 415},
		"TeleTracker, no field":                {"POST", "/auth/login", nil, 400},
		"TeleTracker, a wrong password":        {"POST", "/auth/login", []servertest.RequestOption{wrong}, 401},
		"TeleTracker, another account's":       {"POST", "/auth/masquerade", []servertest.RequestOption{alice, servertest.FormBody("account_id", "9999")}, 400},
		"TeleTracker, no token":                {"POST", "/auth/logout", nil, 401},
		"TeleTracker, no login":                {"POST", "/auth/logout", []servertest.RequestOption{servertest.Bearer(h.AppToken("developer"))}, 403},
		"login, the prefix alone":              {"GET", "/account", nil, 404},
		"login, an unknown path":               {"GET", "/account/v1/nothing", nil, 404},
		"login, another method":                {"GET", "/account/v1/login", nil, 405},
		"login, another method of the prefix":  {"PUT", servertest.PathFormLogin, nil, 405},
		"login, a large body":                  {"POST", servertest.PathFormLogin, []servertest.RequestOption{large}, 413},
		"login, another type":                  {"POST", servertest.PathFormLogin, []servertest.RequestOption{xml}, 415},
		"login, no field":                      {"POST", "/account/v1/login", nil, 400},
		"login, a wrong password":              {"POST", "/account/v1/login", []servertest.RequestOption{wrong}, 401},
		"login, without an account":            {"POST", "/account/v1/login", []servertest.RequestOption{servertest.FormBody(servertest.CredentialFields("carol")...)}, 403},
		"tokens, the admin prefix alone":       {"GET", "/admin-api", nil, 404},
		"tokens, an unknown path of it":        {"GET", "/admin-api/nothing", nil, 404},
		"tokens, a protocol that has none":     {"POST", "/admin-api/auth/login", nil, 404},
		"tokens, an unknown path":              {"GET", "/application-tokens/v2", nil, 404},
		"tokens, an escaped slash":             {"GET", servertest.PathAcmeTokens + "/a%2fb", []servertest.RequestOption{alice}, 404},
		"tokens, another method":               {"POST", servertest.PathAcmeTokens, nil, 405},
		"tokens, another method of the prefix": {"POST", "/admin-api" + servertest.PathAcmeTokens, nil, 405},
		"tokens, a large body":                 {"PUT", servertest.PathAcmeTokens + "/new", []servertest.RequestOption{alice, large}, 413},
		"tokens, another type":                 {"PUT", servertest.PathAcmeTokens + "/new", []servertest.RequestOption{alice, xml}, 415},
		"tokens, no credential":                {"GET", servertest.PathAcmeTokens, nil, 401},
		"tokens, an unknown credential":        {"GET", servertest.PathUserTokens, []servertest.RequestOption{servertest.Bearer(h.UnknownToken())}, 401},
		"tokens, a wrong password":             {"GET", servertest.PathUserTokens, []servertest.RequestOption{servertest.Header("Authorization", "Basic eDp5")}, 401},
		"tokens, of another client":            {"GET", servertest.PathUmbrellaTokens, []servertest.RequestOption{alice}, 404},
		"tokens, of a name that is not there":  {"GET", servertest.PathAcmeTokens + "/none", []servertest.RequestOption{alice}, 404},
		"tokens, without permission":           {"GET", servertest.PathAcmeTokens, []servertest.RequestOption{dave}, 403},
		"tokens, a name that is taken":         {"PUT", one, []servertest.RequestOption{alice}, 409},
		"tokens, more than the quota":          {"PUT", servertest.PathAcmeTokens + "/one-too-many", []servertest.RequestOption{alice}, 409},
		"tokens, an invalid member":            {"PATCH", one, []servertest.RequestOption{alice, servertest.JSONBody(`{"state":"x"}`)}, 400},
		"tokens, an unknown member":            {"PATCH", one, []servertest.RequestOption{alice, servertest.JSONBody(`{"x":1}`)}, 400},
		"tokens, a clone without name":         {"POST", clone, []servertest.RequestOption{alice}, 400},
		"tokens, a login that rotates":         {"POST", "/application-tokens/v1/rotate", []servertest.RequestOption{alice}, 403},
		"tokens, two credentials":              {"GET", servertest.PathAcmeTokens, []servertest.RequestOption{alice, servertest.SecurityToken("x")}, 401},
	} {
		checkFault(t, h, name, h.Call(x.method, x.path, x.parts...), x.status)
	}
	h.CheckNoSecretInAudit()
}

// formatPaths are requests of both protocols that read from the API server.
var formatPaths = map[string][2]string{
	"TeleTracker, a login": {"POST", "/auth/login"}, "login": {"POST", servertest.PathFormLogin}, "login without the prefix": {"POST", "/account/v1/login"},
	"tokens of a client": {"GET", servertest.PathAcmeTokens}, "tokens of a user": {"GET", "/admin-api" + servertest.PathUserTokens},
}

func TestFaultFormat_LimitsAndOutagesHaveMembersOfTheirProtocol(t *testing.T) {
	h := servertest.NewLoginServer(t)
	alice := servertest.CredentialFields("alice")
	for range 60 { // as many logins as are allowed in a row
		h.Call(http.MethodPost, "/auth/login", servertest.FormBody(servertest.AppendFields(alice, "auth_only", "1")...))
	}
	try := func(status int) {
		t.Helper()
		for name, at := range formatPaths {
			parts := []servertest.RequestOption{servertest.Basic("alice")}
			checkFault(t, h, name, h.Call(at[0], at[1], parts...), status)
		}
	}
	try(http.StatusTooManyRequests)
	h.Clock.Advance(time.Minute)
	h.Store.FailWith(errors.New("the API server is away"))
	try(http.StatusServiceUnavailable)
	h.Store.FailWith(nil)
	h.Verifier = h.StaleVerifier()
	try(http.StatusServiceUnavailable)
}

func TestFaultFormat_RequestsInFlightHaveMembersOfTheirProtocol(t *testing.T) {
	h := servertest.NewUnstartedLoginServer(t)
	h.InFlight = server.NewInFlight(1, func() {})
	l, _ := listenPatiently(t, &server.Listener{Handler: h.Handler()})
	h.URL = "http://" + l.Addr().String()
	holdRequest(t, l, "127.0.0.1")
	for name, at := range formatPaths {
		checkFault(t, h, name, h.Send(at[0], at[1]), http.StatusServiceUnavailable)
	}
}

func TestFaultFormat_PanicHasMembersOfItsProtocol(t *testing.T) {
	h := servertest.NewUnstartedLoginServer(t)
	var broken atomic.Bool
	h.Endpoints.Now = func() time.Time {
		if broken.CompareAndSwap(true, false) {
			panic("something unforeseen")
		}
		return h.Clock.Now()
	}
	l, _, _ := servertest.Listen(t, h.Handler(), h.AuditLog.Logger(), withShortTimeouts)
	h.URL = "http://" + l.Addr().String()
	tok := h.Login("alice")
	for name, x := range map[string]struct{ method, path string }{
		"TeleTracker, a logout": {"POST", "/auth/logout"}, "tokens of a client": {"GET", servertest.PathAcmeTokens}, "tokens of a user": {"GET", "/admin-api" + servertest.PathUserTokens},
	} {
		broken.Store(true)
		checkFault(t, h, name, h.Send(x.method, x.path, servertest.Bearer(tok)), http.StatusInternalServerError)
	}
}
