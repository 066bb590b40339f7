package loginapi_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	auditlog "github.com/apptoken/operator/internal/audit"
	"github.com/apptoken/operator/internal/testing/servertest"
)

const pairKeys = "guid refreshToken refreshTokenExpiration success token tokenExpiration tokenLifetime"

var uuidPattern = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[48][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func TestTeleTracker_LoginReturnsPair(t *testing.T) {
	h := servertest.NewLoginServer(t)
	alice := servertest.CredentialFields("alice")
	written := `{"username":"alice@example.com","password":"` + servertest.Passwords["alice"] + `"`
	for name, x := range map[string]struct {
		path   string
		body   []servertest.RequestOption
		client string
	}{
		"by form":                              {"", []servertest.RequestOption{servertest.FormBody(alice...)}, "acme"},
		"in parts":                             {"", []servertest.RequestOption{servertest.MultipartBody(alice...)}, "acme"},
		"in JSON":                              {"", []servertest.RequestOption{servertest.JSONBody(written + "}")}, "acme"},
		"at an account":                        {"", []servertest.RequestOption{servertest.FormBody(servertest.AppendFields(alice, "account_id", "2002")...)}, "umbrella"},
		"at an account, in JSON":               {"", []servertest.RequestOption{servertest.JSONBody(written + `,"account_id":2002}`)}, "umbrella"},
		"at an account, as text in JSON":       {"", []servertest.RequestOption{servertest.JSONBody(written + `,"account_id":"2002"}`)}, "umbrella"},
		"at an account, in parts":              {"", []servertest.RequestOption{servertest.MultipartBody(servertest.AppendFields(alice, "account_id", "2002")...)}, "umbrella"},
		"at an account, in the query":          {"?account_id=2002", []servertest.RequestOption{servertest.FormBody(alice...)}, "umbrella"},
		"with null for an account":             {"", []servertest.RequestOption{servertest.JSONBody(written + `,"account_id":null}`)}, "acme"},
		"not to check the password alone":      {"", []servertest.RequestOption{servertest.FormBody(servertest.AppendFields(alice, "auth_only", "0")...)}, "acme"},
		"by Basic":                             {"", []servertest.RequestOption{servertest.Basic("alice")}, "acme"},
		"by Basic, in the query at an account": {"?account_id=2002", []servertest.RequestOption{servertest.Basic("alice")}, "umbrella"},
		"by Basic, and the account in a form":  {"", []servertest.RequestOption{servertest.Basic("alice"), servertest.FormBody("account_id", "2002")}, "umbrella"},
		"by Integrator":                        {"?account_id=2002", []servertest.RequestOption{servertest.Integrator("alice")}, "umbrella"},
		"by Integrator, and a form":            {"", []servertest.RequestOption{servertest.Integrator("alice"), servertest.FormBody("account_id", "1001")}, "acme"},
	} {
		got := h.Call(http.MethodPost, "/auth/login"+x.path, x.body...)
		tok := h.TokenIn(got, "token")
		h.TokenIn(got, "refreshToken")
		said := h.Members(got)
		lifetime := map[string]time.Duration{"acme": time.Hour, "umbrella": 4 * 24 * time.Hour}[x.client]
		if keys := h.Keys(got); keys != pairKeys { // [row 8]
			t.Errorf("%s: %s", name, keys)
		}
		if said["success"] != true || !uuidPattern.MatchString(said["guid"].(string)) || said["tokenLifetime"] != lifetime.Seconds() {
			t.Errorf("%s: %s", name, got.Body)
		}
		if said["tokenExpiration"] != servertest.StartTime.Add(lifetime).Format("2006-01-02T15:04:05")+"+00:00" || said["refreshTokenExpiration"] != "2026-03-31T12:00:00+00:00" {
			t.Errorf("%s: %s", name, got.Body)
		}
		if got.Header.Get("Cache-Control") != "no-store" || len(got.Header.Values("Set-Cookie")) > 0 {
			t.Errorf("%s: %v", name, got.Header)
		}
		for how, as := range map[string]servertest.RequestOption{"Authorization": servertest.Bearer(tok), "Authentication": servertest.Authentication(tok)} {
			if id := h.Call(http.MethodGet, "/verify?client="+x.client, as); id.Status != http.StatusOK {
				t.Errorf("%s, by %s: %d", name, how, id.Status)
			}
		}
	}
	h.CheckNoSecretInAudit()
}

func TestTeleTracker_AuthOnlyOpensNoLogin(t *testing.T) {
	h := servertest.NewLoginServer(t)
	for name, body := range map[string]servertest.RequestOption{
		"in a form": servertest.FormBody(servertest.AppendFields(servertest.CredentialFields("alice"), "auth_only", "1")...), "in parts": servertest.MultipartBody(servertest.AppendFields(servertest.CredentialFields("alice"), "auth_only", "1")...),
		"in JSON": servertest.JSONBody(`{"username":"dave","password":"` + servertest.Passwords["dave"] + `","auth_only":1}`),
		"as true": servertest.JSONBody(`{"username":"dave","password":"` + servertest.Passwords["dave"] + `","auth_only":true}`),
	} {
		if got := h.Call(http.MethodPost, "/auth/login", body); got.Status != http.StatusOK || got.Body != `{"success":true}`+"\n" {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
	}
	if got := h.Call(http.MethodPost, "/auth/login", servertest.FormBody("username", "dave", "password", "wrong", "auth_only", "1")); got.Status != 401 || h.Members(got)["success"] != false {
		t.Errorf("a wrong one: %d %s", got.Status, got.Body)
	}
	if got := h.Call(http.MethodPost, "/auth/login", servertest.FormBody(servertest.AppendFields(servertest.CredentialFields("dave"), "auth_only", "1", "account_id", "2002")...)); got.Status != 400 {
		t.Errorf("of another user's account: %d %s", got.Status, got.Body)
	}
	if h.Store.WriteCounts() != [2]int{} {
		t.Error("something was written")
	}
	if lines := h.AuditLog.Events(t, auditlog.LoginChecked); len(lines) != 4 || lines[0]["protocol"] != "teletracker" || lines[0]["user"] == nil || lines[0]["client"] == nil {
		t.Errorf("the audit log has %v, want a line of each password that was right", lines)
	}
	h.CheckNoSecretInAudit()
}

func TestTeleTracker_FailuresAreMarked(t *testing.T) {
	h := servertest.NewLoginServer(t)
	app := h.AppToken("reader")
	for name, x := range map[string]struct {
		path   string
		parts  []servertest.RequestOption
		status int
		keys   string
	}{
		"a wrong password":                      {"/auth/login", []servertest.RequestOption{servertest.FormBody("username", "dave", "password", "x")}, 401, "error error_description success"},
		"no password":                           {"/auth/login", []servertest.RequestOption{servertest.FormBody("username", "dave")}, 400, "error error_description field success"},
		"a name in the body, and in the header": {"/auth/login", []servertest.RequestOption{servertest.Basic("dave"), servertest.FormBody("username", "dave")}, 400, "error error_description field success"},
		"a password there too":                  {"/auth/login", []servertest.RequestOption{servertest.Basic("dave"), servertest.FormBody("password", "x")}, 400, "error error_description field success"},
		"Basic that cannot be read":             {"/auth/login", []servertest.RequestOption{servertest.Header("Authorization", "Basic !")}, 401, "error error_description success"},
		"Basic twice":                           {"/auth/login", []servertest.RequestOption{servertest.Basic("dave"), servertest.Basic("dave")}, 401, "error error_description success"},
		"Basic, from another site":              {"/auth/login", []servertest.RequestOption{servertest.Basic("dave"), servertest.Header("Sec-Fetch-Site", "cross-site")}, 403, "error error_description success"},
		"an integrator who says no account":     {"/auth/login", []servertest.RequestOption{servertest.Integrator("alice")}, 400, "error error_description field success"},
		"one without an account":                {"/auth/login", []servertest.RequestOption{servertest.FormBody(servertest.CredentialFields("carol")...)}, 403, "error error_description success"},
		"a refresh token that is none":          {"/auth/refresh", []servertest.RequestOption{servertest.FormBody("refresh_token", "x")}, 401, "error error_description success"},
		"a refresh token that is a token":       {"/auth/refresh", []servertest.RequestOption{servertest.FormBody("refresh_token", app)}, 401, "error error_description success"},
		"no refresh token":                      {"/auth/refresh", nil, 400, "error error_description field success"},
		"another account, no credential":        {"/auth/masquerade", []servertest.RequestOption{servertest.FormBody("account_id", "2002")}, 401, "error error_description success"},
		"another account for a program":         {"/auth/masquerade", []servertest.RequestOption{servertest.Bearer(app), servertest.FormBody("account_id", "2002")}, 403, "error error_description success"},
		"no account":                            {"/auth/masquerade", []servertest.RequestOption{servertest.Bearer(app)}, 400, "error error_description field success"},
		"the end of nothing":                    {"/auth/logout", nil, 401, "error error_description success"},
		"the end of a program's token":          {"/auth/logout", []servertest.RequestOption{servertest.Bearer(app)}, 403, "error error_description success"},
	} {
		got := h.Call(http.MethodPost, x.path, x.parts...)
		if got.Status != x.status || h.Keys(got) != x.keys || h.Members(got)["success"] != false {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
		if (got.Header.Get("Www-Authenticate") != "") != (got.Status == 401) {
			t.Errorf("%s: %v", name, got.Header)
		}
	}
	if !h.IsValid(app) {
		t.Error("the program's token ended")
	}
	h.CheckNoSecretInAudit()
}

func TestRefresh_ReturnsNewPairAndEndsOld(t *testing.T) {
	for name, encode := range map[string]func(...string) servertest.RequestOption{
		"a form": servertest.FormBody, "parts": servertest.MultipartBody, "JSON": func(pairs ...string) servertest.RequestOption {
			return servertest.JSONBody(`{"` + pairs[0] + `":"` + pairs[1] + `"}`)
		},
	} {
		h := servertest.NewLoginServer(t)
		first := h.Call(http.MethodPost, "/auth/login", servertest.FormBody(servertest.CredentialFields("alice")...))
		tok, refresh := h.TokenIn(first, "token"), h.TokenIn(first, "refreshToken")
		h.Clock.Advance(2 * time.Hour) // the token has expired, its session has not
		if h.IsValid(tok) {
			t.Errorf("%s: the token is good after its end", name)
		}
		second := h.Call(http.MethodPost, "/auth/refresh", encode("refresh_token", refresh))
		if h.Keys(second) != pairKeys || h.Members(second)["guid"] == h.Members(first)["guid"] || !h.IsValid(h.TokenIn(second, "token")) {
			t.Errorf("%s: %d %s", name, second.Status, second.Body)
		}
		// The first response was lost. [row 18]
		again := h.Call(http.MethodPost, "/auth/refresh", encode("refresh_token", refresh))
		if !h.IsValid(h.TokenIn(again, "token")) || h.IsValid(h.TokenIn(second, "token")) {
			t.Errorf("%s: a retry: %d %s", name, again.Status, again.Body)
		}
		h.Clock.Advance(time.Minute)
		if got := h.Call(http.MethodPost, "/auth/refresh", encode("refresh_token", refresh)); got.Status != 401 {
			t.Errorf("%s: a replay: %d %s", name, got.Status, got.Body)
		}
		if h.IsValid(h.TokenIn(again, "token")) {
			t.Errorf("%s: the session goes on after a theft", name)
		}
		if got := h.Call(http.MethodPost, "/auth/refresh?refresh_token="+refresh); got.Status != 400 || strings.Contains(got.Body, refresh) {
			t.Errorf("%s, in the address: %d %s", name, got.Status, got.Body)
		}
		h.CheckNoSecretInAudit()
	}
}
