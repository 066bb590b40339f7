package loginapi_test

import (
	"net/http"
	"testing"

	auditlog "github.com/apptoken/operator/internal/audit"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/testing/servertest"
	"github.com/apptoken/operator/internal/token"
)

func TestAudit_RefusedRefreshNamesTheSession(t *testing.T) {
	h := servertest.NewLoginServer(t)
	first := h.Call(http.MethodPost, "/auth/login", servertest.FormBody(servertest.CredentialFields("alice")...))
	refresh := h.TokenIn(first, "refreshToken")
	h.Directory.SetUser(login.User{Name: "alice", UID: "uid of alice", Username: servertest.Usernames["alice"], Suspended: true})
	if got := h.Call(http.MethodPost, "/auth/refresh", servertest.FormBody("refresh_token", refresh)); got.Status != http.StatusUnauthorized {
		t.Fatalf("%d %s", got.Status, got.Body)
	}
	lines := h.AuditLog.Events(t, auditlog.LoginRefreshFailed)
	if len(lines) != 1 || lines[0]["user"] != "alice" || lines[0]["client"] != "acme" || lines[0]["token"] == nil {
		t.Errorf("%v", lines)
	}
	h.CheckNoSecretInAudit()
}

// openSession logs alice in, and returns her tokens and the record of the login.
func openSession(h *servertest.LoginServer, t *testing.T) (tok, refresh string, rec record.Record) {
	t.Helper()
	first := h.Call(http.MethodPost, "/auth/login", servertest.FormBody(servertest.CredentialFields("alice")...))
	tok, refresh = h.TokenIn(first, "token"), h.TokenIn(first, "refreshToken")
	_, digest, err := token.DigestOf(tok)
	if err != nil {
		t.Fatal(err)
	}
	if rec, err = h.Store.Find(t.Context(), digest); err != nil {
		t.Fatal(err)
	}
	return tok, refresh, rec
}

func TestAudit_RefreshOfAnEndedSessionIsAlwaysWritten(t *testing.T) {
	h := servertest.NewLoginServer(t)
	tok, refresh, rec := openSession(h, t)
	h.Call(http.MethodPost, "/auth/logout", servertest.Bearer(tok))
	h.Index.RememberDeleted(rec) // as the watch does
	for range 100 {              // not a token
		h.Call(http.MethodPost, "/auth/refresh", servertest.FormBody("refresh_token", servertest.UnknownRefreshToken(t)))
	}
	h.Call(http.MethodPost, "/auth/refresh", servertest.FormBody("refresh_token", refresh))
	lines := h.AuditLog.Events(t, auditlog.CredentialRevokedUse)
	if len(lines) != 1 || lines[0]["kind"] != "Refresh" || lines[0]["user"] != "alice" || lines[0]["endpoint"] != "login" || lines[0]["token"] != rec.Name() {
		t.Errorf("%v", lines)
	}
	h.CheckNoSecretInAudit()
}

// Each refresh deletes the record before it. A later refusal in the same session is still no use of
// a revoked credential.
func TestAudit_RefusedRefreshOfALiveSessionIsNoRevokedUse(t *testing.T) {
	h := servertest.NewLoginServer(t)
	_, refresh, rec := openSession(h, t)
	got := h.Call(http.MethodPost, "/auth/refresh", servertest.FormBody("refresh_token", refresh))
	h.Index.RememberDeleted(rec) // as the watch does
	for range 200 {              // the clock stands still
		if got.Status != http.StatusOK {
			break
		}
		refresh = h.TokenIn(got, "refreshToken")
		got = h.Call(http.MethodPost, "/auth/refresh", servertest.FormBody("refresh_token", refresh))
	}
	if got.Status != http.StatusTooManyRequests {
		t.Fatalf("%d %s", got.Status, got.Body)
	}
	if lines := h.AuditLog.Events(t, auditlog.CredentialRevokedUse); len(lines) != 0 {
		t.Errorf("%v", lines)
	}
	lines := h.AuditLog.Events(t, auditlog.LoginRefreshFailed)
	if len(lines) != 1 || lines[0]["verdict"] != "Limited" || lines[0]["user"] != "alice" || lines[0]["token"] == nil {
		t.Errorf("%v", lines)
	}
}
