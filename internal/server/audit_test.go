package server_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	auditlog "github.com/apptoken/operator/internal/audit"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify/verifytest"
)

// refuse presents a token to /verify and returns the response.
func (h *house) refuse(t *testing.T, text string) reply {
	t.Helper()
	got := h.do(http.MethodGet, "/verify", http.Header{"Authorization": {"Bearer " + text}, "X-Forwarded-For": {"203.0.113.7"}}, "")
	if got.status != http.StatusUnauthorized {
		t.Errorf("%d, want 401", got.status)
	}
	return got
}

func TestAudit_RefusalNamesTheRecord(t *testing.T) {
	h := newHouse(t)
	for name, verdict := range map[string]string{
		"ends": "Expired", "suspended": "Suspended", "stopped": "OwnerStopped", "ranged": "SourceRefused",
		"killed": "ClientSuspended", "orphan": "ClientMissing", "loginbefore": "PasswordChanged",
	} {
		h.audit.lines = nil
		h.refuse(t, h.Tokens[name])
		r := h.World.Records[name]
		lines := h.audit.events(t, auditlog.CredentialRefused)
		if len(lines) != 1 || lines[0]["token"] != r.Name() || lines[0]["client"] != r.Client || lines[0]["verdict"] != verdict || lines[0]["source"] != "203.0.113.7" {
			t.Errorf("%s: %v, want %s of %s", name, lines, verdict, r.Name())
		}
	}
	h.audit.lines = nil
	h.refuse(t, verifytest.Mint(t, token.Application, "never issued").Reveal())
	if lines := h.audit.events(t, auditlog.CredentialRefused); len(lines) != 1 || lines[0]["token"] != nil || lines[0]["verdict"] != "Unknown" {
		t.Errorf("of what was never issued: %v", lines)
	}
	h.noLeak("the audit log", h.audit.text())
}

func TestAudit_MalformedCredentialHasNoLine(t *testing.T) {
	h := newHouse(t)
	for _, text := range []string{"x", "", h.Tokens["indexer"] + "0", strings.Repeat("a", 512)} {
		h.refuse(t, text)
	}
	if text := h.audit.text(); text != "" {
		t.Errorf("the audit log has %s", text)
	}
}

func TestAudit_RevokedUseIsAlwaysWritten(t *testing.T) {
	for _, way := range []string{"by the watch", "over HTTP"} {
		h := newHouse(t)
		r := h.World.Records["indexer"]
		if way == "over HTTP" {
			h.post("/oauth2/revoke", "", form(h.Tokens["indexer"]))
		}
		delete(h.store.held, r.Digest)
		h.Index.Remove(r.Digest)
		unknown := h.refuse(t, verifytest.Mint(t, token.Application, "never issued").Reveal())
		got := h.refuse(t, h.Tokens["indexer"])
		for _, each := range []reply{unknown, got} {
			each.header.Del("Date")
		}
		if spell(got) != spell(unknown) {
			t.Errorf("%s: a revoked credential is answered %q, one that never was %q", way, spell(got), spell(unknown))
		}
		lines := h.audit.events(t, auditlog.CredentialRevokedUse)
		if len(lines) != 1 || lines[0]["token"] != r.Name() || lines[0]["client"] != "acme" || lines[0]["subject"] != "shop/indexer" || lines[0]["verdict"] != "Revoked" {
			t.Errorf("%s: %v", way, lines)
		}
	}
}

func TestAudit_JunkNeverHidesRevokedUse(t *testing.T) {
	h := newHouse(t)
	delete(h.store.held, h.World.Records["indexer"].Digest)
	h.Index.Remove(h.World.Records["indexer"].Digest)
	handler := h.Handler()
	for i := range 3000 { // more than the API server reads, and the log lines, of a second
		r := httptest.NewRequest(http.MethodGet, "/verify", nil)
		r.RemoteAddr = "192.0.2.1:1"
		r.Header.Set("Authorization", "Bearer "+verifytest.Mint(t, token.Application, "junk "+string(rune('a'+i%26))+strings.Repeat("x", i/26)).Reveal())
		handler.ServeHTTP(httptest.NewRecorder(), r)
	}
	h.refuse(t, h.Tokens["indexer"])
	if lines := h.audit.events(t, auditlog.CredentialRevokedUse); len(lines) != 1 {
		t.Errorf("%d lines of the revoked credential, want 1", len(lines))
	}
	// The lines have the verdicts Unknown and Undecided.
	if lines := h.audit.events(t, auditlog.CredentialRefused); len(lines) == 0 || len(lines) > 20 {
		t.Errorf("%d lines of junk, want ten of each verdict at most", len(lines))
	}
}

func TestAudit_HolderCannotFloodTheLog(t *testing.T) {
	h := newHouse(t)
	for range 50 {
		h.do(http.MethodGet, "/verify?permission=nobody.holds.this", http.Header{"Authorization": {"Bearer " + h.Tokens["indexer"]}}, "")
	}
	lines := h.audit.events(t, auditlog.CredentialRefused)
	if len(lines) != 1 || lines[0]["verdict"] != "PermissionMissing" || lines[0]["subject"] != "shop/indexer" {
		t.Errorf("%d lines, want one: %v", len(lines), lines)
	}
	h.Audit.Flush()
	if lines := h.audit.events(t, auditlog.Suppressed); len(lines) != 1 || lines[0]["count"] != 49.0 || lines[0]["endpoint"] != "verify" {
		t.Errorf("the summary is %v", lines)
	}
}

func TestAudit_ManagementRefusalNamesTheCaller(t *testing.T) {
	h := newOpenInn(t)
	tok := h.appToken("reader")
	h.call(http.MethodGet, ofAcme, bearer(tok))
	lines := h.audit.events(t, auditlog.CredentialRefused)
	if len(lines) != 1 || lines[0]["endpoint"] != "manage" || lines[0]["verdict"] != "PermissionMissing" || lines[0]["client"] != "acme" || lines[0]["token"] == nil {
		t.Errorf("%v", lines)
	}
}

func TestAudit_RefusedRefreshNamesTheSession(t *testing.T) {
	h := newOpenInn(t)
	first := h.call(http.MethodPost, "/auth/login", fielded(credentials("alice")...))
	refresh := h.token(first, "refreshToken")
	h.people.SetUser(login.User{Name: "alice", UID: "uid of alice", Username: usernames["alice"], Suspended: true})
	if got := h.call(http.MethodPost, "/auth/refresh", fielded("refresh_token", refresh)); got.status != http.StatusUnauthorized {
		t.Fatalf("%d %s", got.status, got.body)
	}
	lines := h.audit.events(t, auditlog.LoginRefreshFailed)
	if len(lines) != 1 || lines[0]["user"] != "alice" || lines[0]["client"] != "acme" || lines[0]["token"] == nil {
		t.Errorf("%v", lines)
	}
	h.clean()
}

// openSession logs alice in, and returns her tokens and the record of the login.
func (h *inn) openSession(t *testing.T) (tok, refresh string, rec record.Record) {
	t.Helper()
	first := h.call(http.MethodPost, "/auth/login", fielded(credentials("alice")...))
	tok, refresh = h.token(first, "token"), h.token(first, "refreshToken")
	_, digest, err := token.DigestOf(tok)
	if err != nil {
		t.Fatal(err)
	}
	if rec, err = h.books.Find(t.Context(), digest); err != nil {
		t.Fatal(err)
	}
	return tok, refresh, rec
}

func TestAudit_RefreshOfAnEndedSessionIsAlwaysWritten(t *testing.T) {
	h := newOpenInn(t)
	tok, refresh, rec := h.openSession(t)
	h.call(http.MethodPost, "/auth/logout", bearer(tok))
	h.index.Removed(rec) // as the watch does
	for range 100 {      // not a token
		h.call(http.MethodPost, "/auth/refresh", fielded("refresh_token", strangeRefresh(t)))
	}
	h.call(http.MethodPost, "/auth/refresh", fielded("refresh_token", refresh))
	lines := h.audit.events(t, auditlog.CredentialRevokedUse)
	if len(lines) != 1 || lines[0]["kind"] != "Refresh" || lines[0]["user"] != "alice" || lines[0]["endpoint"] != "login" || lines[0]["token"] != rec.Name() {
		t.Errorf("%v", lines)
	}
	h.clean()
}

// Each refresh deletes the record before it. A later refusal in the same session is still no use of
// a revoked credential.
func TestAudit_RefusedRefreshOfALiveSessionIsNoRevokedUse(t *testing.T) {
	h := newOpenInn(t)
	_, refresh, rec := h.openSession(t)
	got := h.call(http.MethodPost, "/auth/refresh", fielded("refresh_token", refresh))
	h.index.Removed(rec) // as the watch does
	for range 200 {      // the clock stands still
		if got.status != http.StatusOK {
			break
		}
		refresh = h.token(got, "refreshToken")
		got = h.call(http.MethodPost, "/auth/refresh", fielded("refresh_token", refresh))
	}
	if got.status != http.StatusTooManyRequests {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if lines := h.audit.events(t, auditlog.CredentialRevokedUse); len(lines) != 0 {
		t.Errorf("%v", lines)
	}
	lines := h.audit.events(t, auditlog.LoginRefreshFailed)
	if len(lines) != 1 || lines[0]["verdict"] != "Limited" || lines[0]["user"] != "alice" || lines[0]["token"] == nil {
		t.Errorf("%v", lines)
	}
}
