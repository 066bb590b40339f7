package server_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	auditlog "github.com/apptoken/operator/internal/audit"
	"github.com/apptoken/operator/internal/management"
)

// The caller of a management request, and its client.
func TestManage_CallersAndScopes(t *testing.T) {
	h := newLoginServer(t)
	login, app := h.login("alice"), h.appToken("developer")
	session, id := h.session("60")
	openTok := h.token(h.call(http.MethodGet, openPath+"60", basic("alice")), "access_token")
	first := h.call(http.MethodPost, "/auth/login", formBody(credentialFields("alice")...))
	refresh := h.token(first, "refreshToken")
	elsewhere := h.login("alice", "2002")
	for name, x := range map[string]struct {
		path   string
		parts  []requestOption
		status int
		scope  management.Scope // scope of the call, if there was one
	}{
		"a login":                                    {ofAcme, []requestOption{bearer(login)}, 200, management.Scope{Client: "acme"}},
		"a login, by X-Security-Token":               {ofAcme, []requestOption{securityToken(login)}, 200, management.Scope{Client: "acme"}},
		"a login, by Authentication":                 {ofAcme, []requestOption{authentication(login)}, 200, management.Scope{Client: "acme"}},
		"a program":                                  {ofAcme, []requestOption{bearer(app)}, 200, management.Scope{Client: "acme"}},
		"a session":                                  {ofAcme, []requestOption{bearer(session), cookies("SESSION=" + id)}, 200, management.Scope{Client: "acme"}},
		"an open token":                              {ofAcme, []requestOption{bearer(openTok)}, 200, management.Scope{Client: "acme"}},
		"a name":                                     {ofAcme, []requestOption{basic("alice")}, 200, management.Scope{Client: "acme"}},
		"an integrator":                              {ofAcme + "?account_id=1001", []requestOption{integrator("alice")}, 200, management.Scope{Client: "acme"}},
		"a name at the client in the path":           {ofUmbrella, []requestOption{basic("erin")}, 200, management.Scope{Client: "umbrella"}},
		"a name at an account that may not":          {ofUmbrella, []requestOption{basic("alice")}, 403, management.Scope{}},
		"a user, their own":                          {ofUser, []requestOption{bearer(login)}, 200, management.Scope{Client: "acme", User: "alice"}},
		"a user, their own at another account":       {ofUser, []requestOption{bearer(elsewhere)}, 200, management.Scope{Client: "umbrella", User: "alice"}},
		"a user by name, their own":                  {ofUser, []requestOption{basic("alice")}, 200, management.Scope{Client: "acme", User: "alice"}},
		"a user by name, at another account":         {ofUser + "?account_id=2002", []requestOption{basic("alice")}, 200, management.Scope{Client: "umbrella", User: "alice"}},
		"an integrator, their own":                   {ofUser + "?account_id=2002", []requestOption{integrator("alice")}, 200, management.Scope{Client: "umbrella", User: "alice"}},
		"no credential":                              {ofAcme, nil, 401, management.Scope{}},
		"a cookie":                                   {ofAcme, []requestOption{cookies(credentialCookie + login)}, 401, management.Scope{}},
		"a cookie with its session":                  {ofAcme, []requestOption{cookies(credentialCookie+session, "SESSION="+id)}, 401, management.Scope{}},
		"a session without its cookie":               {ofAcme, []requestOption{bearer(session)}, 401, management.Scope{}},
		"a session from another address":             {ofAcme, []requestOption{bearer(session), cookies("SESSION=" + id), withForwardedFor("192.0.2.8")}, 401, management.Scope{}},
		"a refresh token":                            {ofAcme, []requestOption{bearer(refresh)}, 401, management.Scope{}},
		"a token twice":                              {ofAcme, []requestOption{bearer(login), securityToken(login)}, 401, management.Scope{}},
		"a name and a token":                         {ofAcme, []requestOption{basic("alice"), securityToken(login)}, 401, management.Scope{}},
		"a name and a token in one header":           {ofAcme, []requestOption{bearer(login), basic("alice")}, 401, management.Scope{}},
		"a name, sent by another site":               {ofAcme, []requestOption{basic("alice"), header("Sec-Fetch-Site", "cross-site")}, 401, management.Scope{}},
		"a wrong password":                           {ofAcme, []requestOption{header("Authorization", "Basic "+basicCredentials("dave", "x"))}, 401, management.Scope{}},
		"one who is suspended":                       {ofAcme, []requestOption{basic("bob")}, 401, management.Scope{}},
		"one without an account":                     {ofAcme, []requestOption{basic("carol")}, 403, management.Scope{}},
		"an integrator who says no account":          {ofAcme, []requestOption{integrator("alice")}, 400, management.Scope{}},
		"an integrator with the account in a cookie": {ofAcme, []requestOption{integrator("alice"), cookies("account_id=1001")}, 400, management.Scope{}},
		"an account that is not the user's":          {ofAcme + "?account_id=9999", []requestOption{basic("alice")}, 400, management.Scope{}},
		"an account of another user":                 {ofAcme + "?account_id=2002", []requestOption{basic("dave")}, 400, management.Scope{}},
		"another account than the path":              {ofUmbrella + "?account_id=1001", []requestOption{basic("alice")}, 404, management.Scope{}},
		"a login at another account than the path":   {ofAcme, []requestOption{bearer(elsewhere)}, 404, management.Scope{}},
		"a login at an account, for another":         {ofUmbrella, []requestOption{bearer(login)}, 404, management.Scope{}},
		"a client, where it is about users":          {ofUser, []requestOption{bearer(app)}, 403, management.Scope{}},
	} {
		h.management.lastScope = management.Scope{}
		got := h.call(http.MethodGet, x.path, x.parts...)
		if got.status != x.status || h.management.lastScope != x.scope || (got.header.Get("Www-Authenticate") == "") != (x.status != 401 && !strings.Contains(got.body, "insufficient_scope")) {
			t.Errorf("%s: %d %v %s about %v", name, got.status, got.header, got.body, h.management.lastScope)
		}
	}
	h.checkNoSecretInAudit()
}

func TestSelfRotation_NeedsNoPermission(t *testing.T) {
	for name, x := range map[string]struct {
		path string
		user string
	}{
		"a client's, by name":            {ofAcme + "/own/rotate", ""},
		"a client's, by name, as before": {"/admin-api" + ofAcme + "/own/rotate", ""},
		"a client's, that knows no name": {"/application-tokens/v1/rotate", ""},
		"the same, as before":            {"/admin-api/application-tokens/v1/rotate", ""},
		"a user's, by name":              {ofUser + "/own/rotate", "dave"},
		"a user's, that knows no name":   {"/application-tokens/v1/rotate", "dave"},
	} {
		h := newLoginServer(t)
		tok := h.createToken(management.Scope{Client: "acme", User: x.user}, management.TokenSpec{Name: "own"})
		h.createToken(management.Scope{Client: "acme", User: x.user}, management.TokenSpec{Name: "other"})
		first := h.token(h.call(http.MethodPost, x.path, bearer(tok)), "data")
		// The first response was lost. [row 20]
		second := h.token(h.call(http.MethodPost, x.path, bearer(tok)), "data")
		if h.store.writeCounts() != [2]int{5, 3} || h.isValid(first) {
			t.Errorf("%s: after a retry there are %v", name, h.store.writeCounts())
		}
		if !h.isValid(tok) || !h.isValid(second) {
			t.Errorf("%s: the old one or the new one is not good", name)
		}
		// The first response arrived: its token was used.
		if got := h.call(http.MethodPost, x.path, bearer(tok)); got.status != 409 {
			t.Errorf("%s: once more: %d %s", name, got.status, got.body)
		}
		if got := h.call(http.MethodPost, strings.ReplaceAll(x.path, "own", "other"), bearer(second)); strings.Contains(x.path, "own") && got.status != 403 {
			t.Errorf("%s, another: %d %s", name, got.status, got.body)
		}
		h.checkNoSecretInAudit()
	}
	h := newLoginServer(t)
	login := h.login("alice")
	for name, by := range map[string]requestOption{"a login": bearer(login), "a name": basic("alice")} {
		if got := h.call(http.MethodPost, "/application-tokens/v1/rotate", by); got.status != 403 || strings.Contains(got.body, `" `) {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	if got := h.call(http.MethodPost, "/application-tokens/v1/rotate", cookies(credentialCookie+login)); got.status != 401 {
		t.Errorf("a cookie: %d %s", got.status, got.body)
	}
}

// Threats row 28.
func TestRotate_HolderNeverReplacesAdministratorsSuccessor(t *testing.T) {
	h := newLoginServer(t)
	stolen := h.createToken(management.Scope{Client: "acme"}, management.TokenSpec{Name: "own"})
	stolenID := h.store.recordOf(stolen).Name()
	next := h.token(h.call(http.MethodPost, ofAcme+"/own/rotate", bearer(h.login("alice"))), "data")
	key := header("Idempotency-Key", "a text of the thief")
	for name, parts := range map[string][]requestOption{"alone": {bearer(stolen)}, "with a key": {bearer(stolen), key}} {
		for _, path := range []string{ofAcme + "/own/rotate", "/application-tokens/v1/rotate"} {
			if got := h.call(http.MethodPost, path, parts...); got.status != http.StatusConflict {
				t.Errorf("%s at %s: %d %s", name, path, got.status, got.body)
			}
		}
	}
	if !h.isValid(next) {
		t.Error("the administrator's token is no longer valid")
	}
	lines := h.audit.events(t, auditlog.TokenSelfRotationRefused) // one a minute for each token
	if len(lines) != 1 || lines[0]["verdict"] != "Superseded" || lines[0]["token"] != stolenID || lines[0]["client"] != "acme" {
		t.Errorf("the audit log has %v", lines)
	}
	h.checkNoSecretInAudit()
}

func TestSelfRotation_RetryNeedsTheSameKey(t *testing.T) {
	h := newLoginServer(t)
	tok := h.createToken(management.Scope{Client: "acme"}, management.TokenSpec{Name: "own"})
	key := header("Idempotency-Key", "one")
	first := h.token(h.call(http.MethodPost, "/application-tokens/v1/rotate", bearer(tok), key), "data")
	for name, parts := range map[string][]requestOption{"no key": {bearer(tok)}, "another key": {bearer(tok), header("Idempotency-Key", "two")}} {
		if got := h.call(http.MethodPost, "/application-tokens/v1/rotate", parts...); got.status != http.StatusConflict {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	second := h.token(h.call(http.MethodPost, "/application-tokens/v1/rotate", bearer(tok), key), "data")
	if h.isValid(first) || !h.isValid(second) {
		t.Errorf("after a retry the first is valid: %t, the second: %t", h.isValid(first), h.isValid(second))
	}
	if lines := h.audit.events(t, auditlog.TokenSelfRotated); len(lines) != 2 {
		t.Errorf("the audit log has %v", lines)
	}
	h.checkNoSecretInAudit()
}

func TestSelfRotation_RefusalNamesTimeOrAdministrator(t *testing.T) {
	h := newLoginServer(t)
	tok := h.createToken(management.Scope{Client: "acme"}, management.TokenSpec{Name: "own"})
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
		h.management.rotateOwnErr = x.loginFault
		h.audit.lines = nil
		got := h.call(http.MethodPost, "/application-tokens/v1/rotate", bearer(tok))
		if got.status != x.status || got.header.Get("Retry-After") != x.after || !strings.Contains(got.body, x.says) {
			t.Errorf("%s: %d, after %q: %s", name, got.status, got.header.Get("Retry-After"), got.body)
		}
		lines := h.audit.events(t, auditlog.TokenSelfRotationRefused)
		if x.verdict != nil && name != "almost due" && (len(lines) != 1 || lines[0]["verdict"] != x.verdict) || x.status == 503 && len(lines) > 0 {
			t.Errorf("%s: the audit log has %v", name, lines)
		}
	}
	h.checkNoSecretInAudit()
}

// Callers have keys of their own. The token of one administrator is not replaced because another
// sends the same key.
func TestIdempotencyKey_IsPerCaller(t *testing.T) {
	h := newLoginServer(t)
	h.appToken("client~primary")
	key := header("Idempotency-Key", "night-1")
	one := h.token(h.call(http.MethodPost, ofAcme+"/appclient~primary/rotate", bearer(h.login("alice")), key), "data")
	other := h.token(h.call(http.MethodPost, ofAcme+"/appclient~primary/rotate", bearer(h.appToken("developer", "client~primary")), key), "data")
	if !h.isValid(one) || !h.isValid(other) {
		t.Errorf("the first is good: %t; the second: %t", h.isValid(one), h.isValid(other))
	}
	h.checkNoSecretInAudit()
}

// A body has no effect there, and a caller must not take it for a restriction.
func TestRotate_BodyIsRefused(t *testing.T) {
	h := newLoginServer(t)
	tok := h.appToken("reader")
	admin := bearer(h.login("alice"))
	before := h.store.writeCounts()
	for path, by := range map[string]requestOption{ofAcme + "/appreader/rotate": admin, "/application-tokens/v1/rotate": bearer(tok)} {
		for status, body := range map[int]requestOption{
			400: jsonBody(`{"sourceRanges":["10.0.0.0/8"],"lifetime":"1h"}`), 415: rawBody("text/plain", "x"), 413: rawBody("text/plain", strings.Repeat("0", 10<<20)),
		} {
			if got := h.call(http.MethodPost, path, by, body); got.status != status || h.read(got)["error"] != "invalid_request" {
				t.Errorf("%s: %d %s, want %d", path, got.status, got.body, status)
			}
		}
	}
	if h.store.writeCounts() != before {
		t.Error("something was written")
	}
	h.checkNoSecretInAudit()
}

func TestIdempotencyKey_SameKeyIsARetry(t *testing.T) {
	h := newLoginServer(t)
	admin := h.login("alice")
	h.appToken("client~primary")
	key := header("Idempotency-Key", "monday")
	longest := map[string]requestOption{ofAcme + "/appclient~primary/clone": jsonBody(`{"name":"longest"}`), ofAcme + "/appclient~primary/rotate": header("A", "b")}
	for path, body := range map[string]requestOption{ofAcme + "/appclient~primary/clone": jsonBody(`{"name":"copy"}`), ofAcme + "/appclient~primary/rotate": header("A", "b")} {
		first := h.token(h.call(http.MethodPost, path, bearer(admin), key, body), "data")
		count := h.store.writeCounts()[1]
		second := h.token(h.call(http.MethodPost, path, bearer(admin), key, body), "data")
		if h.store.writeCounts()[1] != count || h.isValid(first) || !h.isValid(second) {
			t.Errorf("%s: there are %v", path, h.store.writeCounts())
		}
		if got := h.call(http.MethodPost, path, bearer(admin), key, body); got.status != 409 || !strings.Contains(got.body, "in use") {
			t.Errorf("%s, after it was used: %d %s", path, got.status, got.body)
		}
		for name, keys := range map[string][]string{"empty": {""}, "twice": {"a", "a"}, "too long": {strings.Repeat("a", 256)}} {
			got := h.call(http.MethodPost, path, bearer(admin), header("Idempotency-Key", keys...), body)
			if got.status != 400 || h.read(got)["field"] != "Idempotency-Key" {
				t.Errorf("%s, a key %s: %d %s", path, name, got.status, got.body)
			}
		}
		if got := h.call(http.MethodPost, path, bearer(admin), header("Idempotency-Key", strings.Repeat("k", 255)), longest[path]); got.status != 200 {
			t.Errorf("%s, the longest key: %d %s", path, got.status, got.body)
		}
	}
	if got := h.call(http.MethodPost, ofAcme+"/appclient~primary/clone", bearer(admin), jsonBody(`{"name":"appclient~primary"}`)); got.status != 409 {
		t.Errorf("a clone of a name that is taken: %d %s", got.status, got.body)
	}
	h.checkNoSecretInAudit()
}

// The token of a manifest is in its Secret, and in no response.
func TestRotate_DeclaredTokenGoesIntoItsSecret(t *testing.T) {
	h := newLoginServer(t)
	tok := h.createToken(management.Scope{Client: "acme"}, management.TokenSpec{Name: "indexer"})
	k := h.management.tokens["apptoken-system/indexer-of-acme"]
	k.isDeclared, k.Declared, k.Name = true, true, "shop:indexer"
	for name, x := range map[string]struct {
		path string
		by   requestOption
	}{
		"by an administrator":      {ofAcme + "/shop:indexer/rotate", bearer(h.login("alice"))},
		"by one, with an escape":   {ofAcme + "/shop%3Aindexer/rotate", bearer(h.login("alice"))},
		"by its holder":            {"/application-tokens/v1/rotate", bearer(tok)},
		"by the same, by its name": {ofAcme + "/shop:indexer/rotate", bearer(tok)},
	} {
		if strings.HasPrefix(name, "by the same") || strings.HasPrefix(name, "by its") {
			k.predecessors, k.current = nil, h.store.recordOf(tok)
		}
		got := h.call(http.MethodPost, x.path, x.by)
		if got.status != http.StatusAccepted || h.keys(got) != issuedKeys {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	h.checkNoSecretInAudit()
}

// [row 20]
func TestManage_OfConcurrentCreatesOneSucceeds(t *testing.T) {
	h := newLoginServer(t)
	admin := h.login("alice")
	var wg sync.WaitGroup
	results := make(chan int, 20)
	for range cap(results) {
		wg.Go(func() { results <- h.call(http.MethodPut, ofAcme+"/once", bearer(admin)).status })
	}
	wg.Wait()
	close(results)
	count := map[int]int{}
	for status := range results {
		count[status]++
	}
	if count[200] != 1 || count[409] != 19 {
		t.Errorf("%v", count)
	}
}

func TestQuota_ExcessTokenIsAConflict(t *testing.T) {
	h := newLoginServer(t)
	got := h.call(http.MethodPut, ofAcme+"/"+nameOverQuota, bearer(h.login("alice")))
	if got.status != http.StatusConflict || !strings.Contains(got.body, "quota_exceeded") || !strings.Contains(got.body, "spec.tokens.maxCount") {
		t.Errorf("%d %s", got.status, got.body)
	}
}
