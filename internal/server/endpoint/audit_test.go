package endpoint_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	auditlog "github.com/apptoken/operator/internal/audit"
	"github.com/apptoken/operator/internal/testing/servertest"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify/verifytest"
)

// presentToVerify presents a token to /verify and returns the response.
func presentToVerify(h *servertest.VectorServer, t *testing.T, text string) servertest.Response {
	t.Helper()
	got := h.Do(http.MethodGet, "/verify", http.Header{"Authorization": {"Bearer " + text}, "X-Forwarded-For": {"203.0.113.7"}}, "")
	if got.Status != http.StatusUnauthorized {
		t.Errorf("%d, want 401", got.Status)
	}
	return got
}

func TestAudit_RefusalNamesTheRecord(t *testing.T) {
	h := servertest.NewVectorServer(t)
	for name, verdict := range map[string]string{
		"ends": "Expired", "suspended": "Suspended", "stopped": "OwnerStopped", "ranged": "SourceRefused",
		"killed": "ClientSuspended", "orphan": "ClientMissing", "loginbefore": "PasswordChanged",
	} {
		h.AuditLog.Reset()
		presentToVerify(h, t, h.Tokens[name])
		r := h.Fixture.Records[name]
		lines := h.AuditLog.Events(t, auditlog.CredentialRefused)
		if len(lines) != 1 || lines[0]["token"] != r.Name() || lines[0]["client"] != r.Client || lines[0]["verdict"] != verdict || lines[0]["source"] != "203.0.113.7" {
			t.Errorf("%s: %v, want %s of %s", name, lines, verdict, r.Name())
		}
	}
	h.AuditLog.Reset()
	presentToVerify(h, t, verifytest.Mint(t, token.Application, "never issued").Reveal())
	if lines := h.AuditLog.Events(t, auditlog.CredentialRefused); len(lines) != 1 || lines[0]["token"] != nil || lines[0]["verdict"] != "Unknown" {
		t.Errorf("of what was never issued: %v", lines)
	}
	h.CheckNoLeak("the audit log", h.AuditLog.Text())
}

func TestAudit_MalformedCredentialHasNoLine(t *testing.T) {
	h := servertest.NewVectorServer(t)
	for _, text := range []string{"x", "", h.Tokens["indexer"] + "0", strings.Repeat("a", 512)} {
		presentToVerify(h, t, text)
	}
	if text := h.AuditLog.Text(); text != "" {
		t.Errorf("the audit log has %s", text)
	}
}

func TestAudit_RevokedUseIsAlwaysWritten(t *testing.T) {
	for _, way := range []string{"by the watch", "over HTTP"} {
		h := servertest.NewVectorServer(t)
		r := h.Fixture.Records["indexer"]
		if way == "over HTTP" {
			h.Post("/oauth2/revoke", "", servertest.TokenForm(h.Tokens["indexer"]))
		}
		delete(h.Store.Records, r.Digest)
		h.Index.Remove(r.Digest)
		unknown := presentToVerify(h, t, verifytest.Mint(t, token.Application, "never issued").Reveal())
		got := presentToVerify(h, t, h.Tokens["indexer"])
		for _, each := range []servertest.Response{unknown, got} {
			each.Header.Del("Date")
		}
		if servertest.ResponseLine(got) != servertest.ResponseLine(unknown) {
			t.Errorf("%s: a revoked credential is answered %q, one that never was %q", way, servertest.ResponseLine(got), servertest.ResponseLine(unknown))
		}
		lines := h.AuditLog.Events(t, auditlog.CredentialRevokedUse)
		if len(lines) != 1 || lines[0]["token"] != r.Name() || lines[0]["client"] != "acme" || lines[0]["subject"] != "shop/indexer" || lines[0]["verdict"] != "Revoked" {
			t.Errorf("%s: %v", way, lines)
		}
	}
}

func TestAudit_JunkNeverHidesRevokedUse(t *testing.T) {
	h := servertest.NewVectorServer(t)
	delete(h.Store.Records, h.Fixture.Records["indexer"].Digest)
	h.Index.Remove(h.Fixture.Records["indexer"].Digest)
	handler := h.Handler()
	for i := range 3000 { // more than the API server reads, and the log lines, of a second
		r := httptest.NewRequest(http.MethodGet, "/verify", nil)
		r.RemoteAddr = "192.0.2.1:1"
		r.Header.Set("Authorization", "Bearer "+verifytest.Mint(t, token.Application, "junk "+string(rune('a'+i%26))+strings.Repeat("x", i/26)).Reveal())
		handler.ServeHTTP(httptest.NewRecorder(), r)
	}
	presentToVerify(h, t, h.Tokens["indexer"])
	if lines := h.AuditLog.Events(t, auditlog.CredentialRevokedUse); len(lines) != 1 {
		t.Errorf("%d lines of the revoked credential, want 1", len(lines))
	}
	// The lines have the verdicts Unknown and Undecided.
	if lines := h.AuditLog.Events(t, auditlog.CredentialRefused); len(lines) == 0 || len(lines) > 20 {
		t.Errorf("%d lines of junk, want ten of each verdict at most", len(lines))
	}
}

func TestAudit_HolderCannotFloodTheLog(t *testing.T) {
	h := servertest.NewVectorServer(t)
	for range 50 {
		h.Do(http.MethodGet, "/verify?permission=absent.holds.this", http.Header{"Authorization": {"Bearer " + h.Tokens["indexer"]}}, "")
	}
	lines := h.AuditLog.Events(t, auditlog.CredentialRefused)
	if len(lines) != 1 || lines[0]["verdict"] != "PermissionMissing" || lines[0]["subject"] != "shop/indexer" {
		t.Errorf("%d lines, want one: %v", len(lines), lines)
	}
	h.Audit.Flush()
	if lines := h.AuditLog.Events(t, auditlog.Suppressed); len(lines) != 1 || lines[0]["count"] != 49.0 || lines[0]["endpoint"] != "verify" {
		t.Errorf("the summary is %v", lines)
	}
}
