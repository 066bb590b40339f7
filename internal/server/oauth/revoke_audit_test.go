package oauth_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/testing/servertest"
)

func TestRevoke_UnknownTokensDoNotFloodAudit(t *testing.T) {
	h := servertest.NewUnstartedLoginServer(t)
	h.Serve(httptest.NewServer)
	answers := map[int]int{}
	for range 1000 {
		answers[h.Call(http.MethodPost, "/oauth2/revoke", servertest.FormBody("token", servertest.UnknownRefreshToken(t))).Status]++
	}
	if answers[http.StatusOK] == 0 || answers[http.StatusTooManyRequests] == 0 || len(answers) != 2 {
		t.Errorf("the answers are %v, want success while their source has reads left, and none afterwards", answers)
	}
	// The clock stands still.
	if n := strings.Count(h.AuditLog.Text(), `"token.revocation_failed"`); n != 10 {
		t.Errorf("%d lines of unknown tokens, want 10", n)
	}
	h.CheckNoSecretInAudit()
}

func TestRevoke_RefreshTokenWithoutLoginsEndsNoSession(t *testing.T) {
	h := servertest.NewVectorServer(t)
	got := h.Post("/oauth2/revoke", "", url.Values{"token": {servertest.UnknownRefreshToken(t)}})
	if got.Status != http.StatusOK || got.Body != "{}\n" {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	if said := h.AuditLog.Text(); strings.Contains(said, "login.ended") {
		t.Errorf("the log claims %s", said)
	}
}
