package server_test

import (
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/token"
)

// unknownRefreshToken returns a refresh token that was never issued.
func unknownRefreshToken(t *testing.T) string {
	t.Helper()
	minted, err := token.Mint(token.Refresh, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return minted.Reveal()
}

func TestRevoke_UnknownTokensDoNotFloodAudit(t *testing.T) {
	h := newLoginFixture(t)
	h.serve(httptest.NewServer)
	answers := map[int]int{}
	for range 1000 {
		answers[h.call(http.MethodPost, "/oauth2/revoke", formBody("token", unknownRefreshToken(t))).status]++
	}
	if answers[http.StatusOK] == 0 || answers[http.StatusTooManyRequests] == 0 || len(answers) != 2 {
		t.Errorf("the answers are %v, want success while their source has reads left, and none afterwards", answers)
	}
	// The clock stands still.
	if n := strings.Count(h.audit.text(), `"token.revocation_failed"`); n != 10 {
		t.Errorf("%d lines of unknown tokens, want 10", n)
	}
	h.checkNoSecretInAudit()
}

func TestRevoke_RefreshTokenWithoutLoginsEndsNoSession(t *testing.T) {
	h := newFixture(t)
	got := h.post("/oauth2/revoke", "", url.Values{"token": {unknownRefreshToken(t)}})
	if got.status != http.StatusOK || got.body != "{}\n" {
		t.Errorf("%d %s", got.status, got.body)
	}
	if said := h.audit.text(); strings.Contains(said, "login.ended") {
		t.Errorf("the log claims %s", said)
	}
}
