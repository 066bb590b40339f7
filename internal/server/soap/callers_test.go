package soap_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/testing/servertest"
)

func TestTokens_RefusedCallers(t *testing.T) {
	h := servertest.NewLoginServer(t)
	tok := h.Login("alice")
	before := h.Store.WriteCounts()
	for name, x := range map[string]struct {
		parts  []servertest.RequestOption
		status int // 0: that of the version for a fault of the caller
	}{
		"no credential":                    {nil, 401},
		"a token":                          {[]servertest.RequestOption{servertest.Bearer(tok)}, 401},
		"a cookie":                         {[]servertest.RequestOption{servertest.Cookies(servertest.CredentialCookie + tok)}, 401},
		"a wrong password":                 {[]servertest.RequestOption{servertest.Header("Authorization", "Basic "+servertest.BasicCredentials("dave", "x"))}, 401},
		"an unknown name":                  {[]servertest.RequestOption{servertest.Header("Authorization", "Basic "+servertest.BasicCredentials("unknown", "x"))}, 401},
		"a name alone":                     {[]servertest.RequestOption{servertest.Header("Authorization", "Basic ZGF2ZQ==")}, 401},
		"what is not base64":               {[]servertest.RequestOption{servertest.Header("Authorization", "Basic "+servertest.PasswordMark+"!")}, 401},
		"one who is suspended":             {[]servertest.RequestOption{servertest.Basic("bob")}, 401},
		"one without an account":           {[]servertest.RequestOption{servertest.Basic("carol")}, 403},
		"an integrator without an account": {[]servertest.RequestOption{servertest.Integrator("alice")}, 0},
		"an account of another user":       {[]servertest.RequestOption{servertest.Basic("dave"), servertest.QueryString("account_id=2002")}, 0},
		"an account twice":                 {[]servertest.RequestOption{servertest.Basic("dave"), servertest.QueryString("account_id=1001&account_id=1001")}, 0},
	} {
		for which, v := range versions {
			got, a := post(h, pathManager, append(x.parts, v.body(v.call("getAccessExpiringToken", minutes("5"))))...)
			status := x.status
			if status == 0 {
				status = v.callerStatus
			}
			code, text := a.fault()
			if got.Status != status || code != v.caller || text == "" || strings.Contains(got.Body, servertest.PasswordMark) {
				t.Errorf("%s, %s: %d %s", name, which, got.Status, got.Body)
			}
			if (got.Header.Get("Www-Authenticate") != "") != (status == 401) || len(got.Header.Values("Set-Cookie")) > 0 {
				t.Errorf("%s, %s: %v", name, which, got.Header)
			}
			h.Clock.Advance(15 * 60 * 1e9) // which ends the limits of failures
		}
	}
	if h.Store.WriteCounts() != before {
		t.Error("something was written")
	}
	h.CheckNoSecretInAudit()
}

// Clients of Java ask again with a name and a password after this challenge.
func TestTokens_ChallengeIsBasic(t *testing.T) {
	h := servertest.NewLoginServer(t)
	got, _ := post(h, pathManager, soap11.body(soap11.call("getAccessToken", "")))
	if got.Status != http.StatusUnauthorized || got.Header.Get("Www-Authenticate") != `Basic realm="apptoken", charset="UTF-8"` {
		t.Errorf("%d %v", got.Status, got.Header)
	}
}

func TestTokens_FollowPolicyOfClient(t *testing.T) {
	for name, x := range map[string]struct {
		path, operation, parameters string
		status                      int
		says                        string
	}{
		"an open token with an end":         {pathManager, "getAccessExpiringTokenForAll", minutes("60"), 200, ""},
		"an open token without an end":      {pathManager, "getAccessTokenForAll", "", 403, "more than 0 minutes"},
		"by 0 minutes":                      {pathManager, "getAccessExpiringTokenForAll", minutes("0"), 403, "more than 0 minutes"},
		"an endless one, where any may be":  {pathManager + "?account_id=2002", "getAccessTokenForAll", "", 200, ""},
		"an open token where none may be":   {pathManager + "?account_id=3003", "getAccessExpiringTokenForAll", minutes("60"), 403, "no open tokens"},
		"a session token where none may be": {pathManager + "?account_id=3003", "getAccessExpiringToken", minutes("60"), 200, ""},
	} {
		h := servertest.NewLoginServer(t)
		got, a := post(h, x.path, servertest.Basic("alice"), soap12.body(soap12.call(x.operation, x.parameters)))
		code, text := a.fault()
		if got.Status != x.status || !strings.Contains(text, x.says) || (code != "") != (x.status != 200) {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
		if x.status != 200 && (h.Store.WriteCounts() != [2]int{} || !strings.Contains(h.AuditLog.Text(), "login.failed")) {
			t.Errorf("%s: it wrote, or no audit event", name)
		}
	}
}

// A guess by SOAP counts like one by REST, since both are one login.
func TestTokens_FailuresAreLimitedWithThoseOfREST(t *testing.T) {
	h := servertest.NewLoginServer(t)
	wrong := servertest.Header("Authorization", "Basic "+servertest.BasicCredentials("alice@example.com", "x"))
	for range 40 {
		if h.Send(http.MethodGet, servertest.PathSessionToken+"5", wrong).Status == http.StatusTooManyRequests {
			break
		}
	}
	for which, v := range versions {
		got, a := post(h, pathManager, wrong, v.body(v.call("getAccessToken", "")))
		if code, _ := a.fault(); got.Status != http.StatusTooManyRequests || code != v.caller || got.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %v %s", which, got.Status, got.Header, got.Body)
		}
	}
	if h.Store.WriteCounts() != [2]int{} {
		t.Error("something was written")
	}
}

func TestTokens_StaleReplicaAnswersUnavailable(t *testing.T) {
	h := servertest.NewLoginServer(t)
	tok := newToken(t, h, "getAccessToken", "")
	h.Verifier = h.StaleVerifier()
	before := h.Store.WriteCounts()
	for which, v := range versions {
		for path, parts := range map[string][]servertest.RequestOption{
			pathManager: {servertest.Basic("alice"), v.body(v.call("getAccessToken", ""))},
			pathLogout:  {servertest.Bearer(tok.Token), servertest.Cookies("SESSION=" + tok.Session), v.body(v.call("logout", ""))},
		} {
			got, a := post(h, path, parts...)
			if code, _ := a.fault(); got.Status != http.StatusServiceUnavailable || code != v.server || got.Header.Get("Retry-After") == "" {
				t.Errorf("%s, %s: %d %v %s", which, path, got.Status, got.Header, got.Body)
			}
		}
	}
	if h.Store.WriteCounts() != before {
		t.Error("something was written")
	}
}

func TestTokens_FailingStoreAnswersUnavailable(t *testing.T) {
	h := servertest.NewLoginServer(t)
	h.Store.FailWith(http.ErrServerClosed)
	got, a := post(h, pathManager, servertest.Basic("alice"), soap12.body(soap12.call("getAccessToken", "")))
	if code, _ := a.fault(); got.Status != http.StatusServiceUnavailable || code != soap12.server || len(got.Header.Values("Set-Cookie")) > 0 {
		t.Errorf("%d %v %s", got.Status, got.Header, got.Body)
	}
}
