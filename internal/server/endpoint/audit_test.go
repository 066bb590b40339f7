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

// presentToVerify presents a token to /verify and returns the response.
func (h *fixture) presentToVerify(t *testing.T, text string) httpResponse {
	t.Helper()
	got := h.do(http.MethodGet, "/verify", http.Header{"Authorization": {"Bearer " + text}, "X-Forwarded-For": {"203.0.113.7"}}, "")
	if got.status != http.StatusUnauthorized {
		t.Errorf("%d, want 401", got.status)
	}
	return got
}

func TestAudit_RefusalNamesTheRecord(t *testing.T) {
	h := newFixture(t)
	for name, verdict := range map[string]string{
		"ends": "Expired", "suspended": "Suspended", "stopped": "OwnerStopped", "ranged": "SourceRefused",
		"killed": "ClientSuspended", "orphan": "ClientMissing", "loginbefore": "PasswordChanged",
	} {
		h.audit.lines = nil
		h.presentToVerify(t, h.Tokens[name])
		r := h.Fixture.Records[name]
		lines := h.audit.events(t, auditlog.CredentialRefused)
		if len(lines) != 1 || lines[0]["token"] != r.Name() || lines[0]["client"] != r.Client || lines[0]["verdict"] != verdict || lines[0]["source"] != "203.0.113.7" {
			t.Errorf("%s: %v, want %s of %s", name, lines, verdict, r.Name())
		}
	}
	h.audit.lines = nil
	h.presentToVerify(t, verifytest.Mint(t, token.Application, "never issued").Reveal())
	if lines := h.audit.events(t, auditlog.CredentialRefused); len(lines) != 1 || lines[0]["token"] != nil || lines[0]["verdict"] != "Unknown" {
		t.Errorf("of what was never issued: %v", lines)
	}
	h.noLeak("the audit log", h.audit.text())
}

func TestAudit_MalformedCredentialHasNoLine(t *testing.T) {
	h := newFixture(t)
	for _, text := range []string{"x", "", h.Tokens["indexer"] + "0", strings.Repeat("a", 512)} {
		h.presentToVerify(t, text)
	}
	if text := h.audit.text(); text != "" {
		t.Errorf("the audit log has %s", text)
	}
}

func TestAudit_RevokedUseIsAlwaysWritten(t *testing.T) {
	for _, way := range []string{"by the watch", "over HTTP"} {
		h := newFixture(t)
		r := h.Fixture.Records["indexer"]
		if way == "over HTTP" {
			h.post("/oauth2/revoke", "", form(h.Tokens["indexer"]))
		}
		delete(h.store.records, r.Digest)
		h.Index.Remove(r.Digest)
		unknown := h.presentToVerify(t, verifytest.Mint(t, token.Application, "never issued").Reveal())
		got := h.presentToVerify(t, h.Tokens["indexer"])
		for _, each := range []httpResponse{unknown, got} {
			each.header.Del("Date")
		}
		if responseLine(got) != responseLine(unknown) {
			t.Errorf("%s: a revoked credential is answered %q, one that never was %q", way, responseLine(got), responseLine(unknown))
		}
		lines := h.audit.events(t, auditlog.CredentialRevokedUse)
		if len(lines) != 1 || lines[0]["token"] != r.Name() || lines[0]["client"] != "acme" || lines[0]["subject"] != "shop/indexer" || lines[0]["verdict"] != "Revoked" {
			t.Errorf("%s: %v", way, lines)
		}
	}
}

func TestAudit_JunkNeverHidesRevokedUse(t *testing.T) {
	h := newFixture(t)
	delete(h.store.records, h.Fixture.Records["indexer"].Digest)
	h.Index.Remove(h.Fixture.Records["indexer"].Digest)
	handler := h.Handler()
	for i := range 3000 { // more than the API server reads, and the log lines, of a second
		r := httptest.NewRequest(http.MethodGet, "/verify", nil)
		r.RemoteAddr = "192.0.2.1:1"
		r.Header.Set("Authorization", "Bearer "+verifytest.Mint(t, token.Application, "junk "+string(rune('a'+i%26))+strings.Repeat("x", i/26)).Reveal())
		handler.ServeHTTP(httptest.NewRecorder(), r)
	}
	h.presentToVerify(t, h.Tokens["indexer"])
	if lines := h.audit.events(t, auditlog.CredentialRevokedUse); len(lines) != 1 {
		t.Errorf("%d lines of the revoked credential, want 1", len(lines))
	}
	// The lines have the verdicts Unknown and Undecided.
	if lines := h.audit.events(t, auditlog.CredentialRefused); len(lines) == 0 || len(lines) > 20 {
		t.Errorf("%d lines of junk, want ten of each verdict at most", len(lines))
	}
}

func TestAudit_HolderCannotFloodTheLog(t *testing.T) {
	h := newFixture(t)
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
	h := newLoginServer(t)
	tok := h.appToken("reader")
	h.call(http.MethodGet, ofAcme, bearer(tok))
	lines := h.audit.events(t, auditlog.CredentialRefused)
	if len(lines) != 1 || lines[0]["endpoint"] != "manage" || lines[0]["verdict"] != "PermissionMissing" || lines[0]["client"] != "acme" || lines[0]["token"] == nil {
		t.Errorf("%v", lines)
	}
}

func TestAudit_RefusedRefreshNamesTheSession(t *testing.T) {
	h := newLoginServer(t)
	first := h.call(http.MethodPost, "/auth/login", formBody(credentialFields("alice")...))
	refresh := h.token(first, "refreshToken")
	h.directory.SetUser(login.User{Name: "alice", UID: "uid of alice", Username: usernames["alice"], Suspended: true})
	if got := h.call(http.MethodPost, "/auth/refresh", formBody("refresh_token", refresh)); got.status != http.StatusUnauthorized {
		t.Fatalf("%d %s", got.status, got.body)
	}
	lines := h.audit.events(t, auditlog.LoginRefreshFailed)
	if len(lines) != 1 || lines[0]["user"] != "alice" || lines[0]["client"] != "acme" || lines[0]["token"] == nil {
		t.Errorf("%v", lines)
	}
	h.checkNoSecretInAudit()
}

// openSession logs alice in, and returns her tokens and the record of the login.
func (h *loginFixture) openSession(t *testing.T) (tok, refresh string, rec record.Record) {
	t.Helper()
	first := h.call(http.MethodPost, "/auth/login", formBody(credentialFields("alice")...))
	tok, refresh = h.token(first, "token"), h.token(first, "refreshToken")
	_, digest, err := token.DigestOf(tok)
	if err != nil {
		t.Fatal(err)
	}
	if rec, err = h.store.Find(t.Context(), digest); err != nil {
		t.Fatal(err)
	}
	return tok, refresh, rec
}

func TestAudit_RefreshOfAnEndedSessionIsAlwaysWritten(t *testing.T) {
	h := newLoginServer(t)
	tok, refresh, rec := h.openSession(t)
	h.call(http.MethodPost, "/auth/logout", bearer(tok))
	h.index.RememberDeleted(rec) // as the watch does
	for range 100 {              // not a token
		h.call(http.MethodPost, "/auth/refresh", formBody("refresh_token", unknownRefreshToken(t)))
	}
	h.call(http.MethodPost, "/auth/refresh", formBody("refresh_token", refresh))
	lines := h.audit.events(t, auditlog.CredentialRevokedUse)
	if len(lines) != 1 || lines[0]["kind"] != "Refresh" || lines[0]["user"] != "alice" || lines[0]["endpoint"] != "login" || lines[0]["token"] != rec.Name() {
		t.Errorf("%v", lines)
	}
	h.checkNoSecretInAudit()
}

// Each refresh deletes the record before it. A later refusal in the same session is still no use of
// a revoked credential.
func TestAudit_RefusedRefreshOfALiveSessionIsNoRevokedUse(t *testing.T) {
	h := newLoginServer(t)
	_, refresh, rec := h.openSession(t)
	got := h.call(http.MethodPost, "/auth/refresh", formBody("refresh_token", refresh))
	h.index.RememberDeleted(rec) // as the watch does
	for range 200 {              // the clock stands still
		if got.status != http.StatusOK {
			break
		}
		refresh = h.token(got, "refreshToken")
		got = h.call(http.MethodPost, "/auth/refresh", formBody("refresh_token", refresh))
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
