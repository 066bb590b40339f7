package tokenapi_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	auditlog "github.com/apptoken/operator/internal/audit"
	"github.com/apptoken/operator/internal/management"
	"github.com/apptoken/operator/internal/testing/servertest"
)

func TestSelfRotation_NeedsNoPermission(t *testing.T) {
	for name, x := range map[string]struct {
		path string
		user string
	}{
		"a client's, by name":            {servertest.PathAcmeTokens + "/own/rotate", ""},
		"a client's, by name, as before": {"/admin-api" + servertest.PathAcmeTokens + "/own/rotate", ""},
		"a client's, that knows no name": {"/application-tokens/v1/rotate", ""},
		"the same, as before":            {"/admin-api/application-tokens/v1/rotate", ""},
		"a user's, by name":              {servertest.PathUserTokens + "/own/rotate", "dave"},
		"a user's, that knows no name":   {"/application-tokens/v1/rotate", "dave"},
	} {
		h := servertest.NewLoginServer(t)
		tok := h.CreateToken(management.Scope{Client: "acme", User: x.user}, management.TokenSpec{Name: "own"})
		h.CreateToken(management.Scope{Client: "acme", User: x.user}, management.TokenSpec{Name: "other"})
		first := h.TokenIn(h.Call(http.MethodPost, x.path, servertest.Bearer(tok)), "data")
		// The first response was lost. [row 20]
		second := h.TokenIn(h.Call(http.MethodPost, x.path, servertest.Bearer(tok)), "data")
		if h.Store.WriteCounts() != [2]int{5, 3} || h.IsValid(first) {
			t.Errorf("%s: after a retry there are %v", name, h.Store.WriteCounts())
		}
		if !h.IsValid(tok) || !h.IsValid(second) {
			t.Errorf("%s: the old one or the new one is not good", name)
		}
		// The first response arrived: its token was used.
		if got := h.Call(http.MethodPost, x.path, servertest.Bearer(tok)); got.Status != 409 {
			t.Errorf("%s: once more: %d %s", name, got.Status, got.Body)
		}
		if got := h.Call(http.MethodPost, strings.ReplaceAll(x.path, "own", "other"), servertest.Bearer(second)); strings.Contains(x.path, "own") && got.Status != 403 {
			t.Errorf("%s, another: %d %s", name, got.Status, got.Body)
		}
		h.CheckNoSecretInAudit()
	}
	h := servertest.NewLoginServer(t)
	login := h.Login("alice")
	for name, by := range map[string]servertest.RequestOption{"a login": servertest.Bearer(login), "a name": servertest.Basic("alice")} {
		if got := h.Call(http.MethodPost, "/application-tokens/v1/rotate", by); got.Status != 403 || strings.Contains(got.Body, `" `) {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
	}
	if got := h.Call(http.MethodPost, "/application-tokens/v1/rotate", servertest.Cookies(servertest.CredentialCookie+login)); got.Status != 401 {
		t.Errorf("a cookie: %d %s", got.Status, got.Body)
	}
}

// Threats row 28.
func TestRotate_HolderNeverReplacesAdministratorsSuccessor(t *testing.T) {
	h := servertest.NewLoginServer(t)
	stolen := h.CreateToken(management.Scope{Client: "acme"}, management.TokenSpec{Name: "own"})
	stolenID := h.Store.RecordOf(stolen).Name()
	next := h.TokenIn(h.Call(http.MethodPost, servertest.PathAcmeTokens+"/own/rotate", servertest.Bearer(h.Login("alice"))), "data")
	key := servertest.Header("Idempotency-Key", "a text of the thief")
	for name, parts := range map[string][]servertest.RequestOption{"alone": {servertest.Bearer(stolen)}, "with a key": {servertest.Bearer(stolen), key}} {
		for _, path := range []string{servertest.PathAcmeTokens + "/own/rotate", "/application-tokens/v1/rotate"} {
			if got := h.Call(http.MethodPost, path, parts...); got.Status != http.StatusConflict {
				t.Errorf("%s at %s: %d %s", name, path, got.Status, got.Body)
			}
		}
	}
	if !h.IsValid(next) {
		t.Error("the administrator's token is no longer valid")
	}
	lines := h.AuditLog.Events(t, auditlog.TokenSelfRotationRefused) // one a minute for each token
	if len(lines) != 1 || lines[0]["verdict"] != "Superseded" || lines[0]["token"] != stolenID || lines[0]["client"] != "acme" {
		t.Errorf("the audit log has %v", lines)
	}
	h.CheckNoSecretInAudit()
}

func TestSelfRotation_RetryNeedsTheSameKey(t *testing.T) {
	h := servertest.NewLoginServer(t)
	tok := h.CreateToken(management.Scope{Client: "acme"}, management.TokenSpec{Name: "own"})
	key := servertest.Header("Idempotency-Key", "one")
	first := h.TokenIn(h.Call(http.MethodPost, "/application-tokens/v1/rotate", servertest.Bearer(tok), key), "data")
	for name, parts := range map[string][]servertest.RequestOption{"no key": {servertest.Bearer(tok)}, "another key": {servertest.Bearer(tok), servertest.Header("Idempotency-Key", "two")}} {
		if got := h.Call(http.MethodPost, "/application-tokens/v1/rotate", parts...); got.Status != http.StatusConflict {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
	}
	second := h.TokenIn(h.Call(http.MethodPost, "/application-tokens/v1/rotate", servertest.Bearer(tok), key), "data")
	if h.IsValid(first) || !h.IsValid(second) {
		t.Errorf("after a retry the first is valid: %t, the second: %t", h.IsValid(first), h.IsValid(second))
	}
	if lines := h.AuditLog.Events(t, auditlog.TokenSelfRotated); len(lines) != 2 {
		t.Errorf("the audit log has %v", lines)
	}
	h.CheckNoSecretInAudit()
}

func TestSelfRotation_RefusalNamesTimeOrAdministrator(t *testing.T) {
	h := servertest.NewLoginServer(t)
	tok := h.CreateToken(management.Scope{Client: "acme"}, management.TokenSpec{Name: "own"})
	for name, x := range map[string]struct {
		loginFault error
		status     int
		after      string
		says       string
		verdict    any
	}{
		"forbidden":     {&management.Denied{Message: "its platform team can change it"}, 403, "", "its platform team can change it", "SelfRotationForbidden"},
		"too soon":      {&management.TooSoon{After: 90*time.Second + 1, Message: "at most once in 10m"}, 429, "91", "at most once in 10m", nil},
		"almost due":    {&management.TooSoon{After: 0, Message: "at most once in 10m"}, 429, "1", "at most once in 10m", nil},
		"superseded":    {management.ErrSuperseded, 409, "", "current", "Superseded"},
		"a late retry":  {management.ErrRetryExpired, 409, "", "retry", "RetryOver"},
		"not reachable": {management.ErrUnavailable, 503, "5", "", nil},
	} {
		h.TokenService.RotateOwnErr = x.loginFault
		h.AuditLog.Reset()
		got := h.Call(http.MethodPost, "/application-tokens/v1/rotate", servertest.Bearer(tok))
		if got.Status != x.status || got.Header.Get("Retry-After") != x.after || !strings.Contains(got.Body, x.says) {
			t.Errorf("%s: %d, after %q: %s", name, got.Status, got.Header.Get("Retry-After"), got.Body)
		}
		lines := h.AuditLog.Events(t, auditlog.TokenSelfRotationRefused)
		if x.verdict != nil && name != "almost due" && (len(lines) != 1 || lines[0]["verdict"] != x.verdict) || x.status == 503 && len(lines) > 0 {
			t.Errorf("%s: the audit log has %v", name, lines)
		}
	}
	h.CheckNoSecretInAudit()
}

// Callers have keys of their own. The token of one administrator is not replaced because another
// sends the same key.
func TestIdempotencyKey_IsPerCaller(t *testing.T) {
	h := servertest.NewLoginServer(t)
	h.AppToken("client~primary")
	key := servertest.Header("Idempotency-Key", "night-1")
	one := h.TokenIn(h.Call(http.MethodPost, servertest.PathAcmeTokens+"/appclient~primary/rotate", servertest.Bearer(h.Login("alice")), key), "data")
	other := h.TokenIn(h.Call(http.MethodPost, servertest.PathAcmeTokens+"/appclient~primary/rotate", servertest.Bearer(h.AppToken("developer", "client~primary")), key), "data")
	if !h.IsValid(one) || !h.IsValid(other) {
		t.Errorf("the first is good: %t; the second: %t", h.IsValid(one), h.IsValid(other))
	}
	h.CheckNoSecretInAudit()
}

// A body has no effect there, and a caller must not take it for a restriction.
func TestRotate_BodyIsRefused(t *testing.T) {
	h := servertest.NewLoginServer(t)
	tok := h.AppToken("reader")
	admin := servertest.Bearer(h.Login("alice"))
	before := h.Store.WriteCounts()
	for path, by := range map[string]servertest.RequestOption{servertest.PathAcmeTokens + "/appreader/rotate": admin, "/application-tokens/v1/rotate": servertest.Bearer(tok)} {
		for status, body := range map[int]servertest.RequestOption{
			400: servertest.JSONBody(`{"sourceRanges":["10.0.0.0/8"],"lifetime":"1h"}`), 415: servertest.RawBody("text/plain", "x"), 413: servertest.RawBody("text/plain", strings.Repeat("0", 10<<20)),
		} {
			if got := h.Call(http.MethodPost, path, by, body); got.Status != status || h.Members(got)["error"] != "invalid_request" {
				t.Errorf("%s: %d %s, want %d", path, got.Status, got.Body, status)
			}
		}
	}
	if h.Store.WriteCounts() != before {
		t.Error("something was written")
	}
	h.CheckNoSecretInAudit()
}

func TestIdempotencyKey_SameKeyIsARetry(t *testing.T) {
	h := servertest.NewLoginServer(t)
	admin := h.Login("alice")
	h.AppToken("client~primary")
	key := servertest.Header("Idempotency-Key", "monday")
	longest := map[string]servertest.RequestOption{servertest.PathAcmeTokens + "/appclient~primary/clone": servertest.JSONBody(`{"name":"longest"}`), servertest.PathAcmeTokens + "/appclient~primary/rotate": servertest.Header("A", "b")}
	for path, body := range map[string]servertest.RequestOption{servertest.PathAcmeTokens + "/appclient~primary/clone": servertest.JSONBody(`{"name":"copy"}`), servertest.PathAcmeTokens + "/appclient~primary/rotate": servertest.Header("A", "b")} {
		first := h.TokenIn(h.Call(http.MethodPost, path, servertest.Bearer(admin), key, body), "data")
		count := h.Store.WriteCounts()[1]
		second := h.TokenIn(h.Call(http.MethodPost, path, servertest.Bearer(admin), key, body), "data")
		if h.Store.WriteCounts()[1] != count || h.IsValid(first) || !h.IsValid(second) {
			t.Errorf("%s: there are %v", path, h.Store.WriteCounts())
		}
		if got := h.Call(http.MethodPost, path, servertest.Bearer(admin), key, body); got.Status != 409 || !strings.Contains(got.Body, "in use") {
			t.Errorf("%s, after it was used: %d %s", path, got.Status, got.Body)
		}
		for name, keys := range map[string][]string{"empty": {""}, "twice": {"a", "a"}, "too long": {strings.Repeat("a", 256)}} {
			got := h.Call(http.MethodPost, path, servertest.Bearer(admin), servertest.Header("Idempotency-Key", keys...), body)
			if got.Status != 400 || h.Members(got)["field"] != "Idempotency-Key" {
				t.Errorf("%s, a key %s: %d %s", path, name, got.Status, got.Body)
			}
		}
		if got := h.Call(http.MethodPost, path, servertest.Bearer(admin), servertest.Header("Idempotency-Key", strings.Repeat("k", 255)), longest[path]); got.Status != 200 {
			t.Errorf("%s, the longest key: %d %s", path, got.Status, got.Body)
		}
	}
	if got := h.Call(http.MethodPost, servertest.PathAcmeTokens+"/appclient~primary/clone", servertest.Bearer(admin), servertest.JSONBody(`{"name":"appclient~primary"}`)); got.Status != 409 {
		t.Errorf("a clone of a name that is taken: %d %s", got.Status, got.Body)
	}
	h.CheckNoSecretInAudit()
}

// The token of a manifest is in its Secret, and in no response.
func TestRotate_DeclaredTokenGoesIntoItsSecret(t *testing.T) {
	h := servertest.NewLoginServer(t)
	tok := h.CreateToken(management.Scope{Client: "acme"}, management.TokenSpec{Name: "indexer"})
	k := h.TokenService.Find("acme", "indexer")
	k.IsDeclared, k.Declared, k.Name = true, true, "shop:indexer"
	for name, x := range map[string]struct {
		path string
		by   servertest.RequestOption
	}{
		"by an administrator":      {servertest.PathAcmeTokens + "/shop:indexer/rotate", servertest.Bearer(h.Login("alice"))},
		"by one, with an escape":   {servertest.PathAcmeTokens + "/shop%3Aindexer/rotate", servertest.Bearer(h.Login("alice"))},
		"by its holder":            {"/application-tokens/v1/rotate", servertest.Bearer(tok)},
		"by the same, by its name": {servertest.PathAcmeTokens + "/shop:indexer/rotate", servertest.Bearer(tok)},
	} {
		if strings.HasPrefix(name, "by the same") || strings.HasPrefix(name, "by its") {
			k.PredecessorRecords, k.CurrentRecord = nil, h.Store.RecordOf(tok)
		}
		got := h.Call(http.MethodPost, x.path, x.by)
		if got.Status != http.StatusAccepted || h.Keys(got) != deferredKeys {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
	}
	h.CheckNoSecretInAudit()
}
