package loginapi_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/server/endpoint"
	"github.com/apptoken/operator/internal/testing/servertest"
)

func TestMasquerade_LiveSessionMovesToAnotherAccount(t *testing.T) {
	h := servertest.NewLoginServer(t)
	first := h.Call(http.MethodPost, "/auth/login", servertest.FormBody(servertest.CredentialFields("alice")...))
	tok, refresh := h.TokenIn(first, "token"), h.TokenIn(first, "refreshToken")
	for name, x := range map[string]struct {
		parts  []servertest.RequestOption
		status int
	}{
		"to an account of another user":        {[]servertest.RequestOption{servertest.Bearer(tok), servertest.FormBody("account_id", "9999")}, 400},
		"to one that is suspended":             {[]servertest.RequestOption{servertest.Bearer(tok), servertest.FormBody("account_id", "4004")}, 400},
		"by a cookie":                          {[]servertest.RequestOption{servertest.Cookies(servertest.CredentialCookie + tok), servertest.FormBody("account_id", "2002")}, 401},
		"by the refresh token":                 {[]servertest.RequestOption{servertest.Bearer(refresh), servertest.FormBody("account_id", "2002")}, 401},
		"by two tokens":                        {[]servertest.RequestOption{servertest.Bearer(tok), servertest.SecurityToken(refresh), servertest.FormBody("account_id", "2002")}, 401},
		"by name":                              {[]servertest.RequestOption{servertest.Basic("alice"), servertest.FormBody("account_id", "2002")}, 401},
		"to one that is no number":             {[]servertest.RequestOption{servertest.Bearer(tok), servertest.FormBody("account_id", "umbrella")}, 400},
		"to two":                               {[]servertest.RequestOption{servertest.Bearer(tok), servertest.FormBody("account_id", "2002", "account_id", "1001")}, 400},
		"to one in the query, and in the body": {[]servertest.RequestOption{servertest.Bearer(tok), servertest.FormBody("account_id", "2002"), servertest.QueryString("account_id=2002")}, 400},
	} {
		if got := h.Call(http.MethodPost, "/auth/masquerade", x.parts...); got.Status != x.status || !h.IsValid(tok) {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
	}
	second := h.Call(http.MethodPost, "/auth/masquerade", servertest.Bearer(tok), servertest.SecurityToken(tok), servertest.FormBody("account_id", "2002"))
	next := h.TokenIn(second, "token")
	if h.Keys(second) != pairKeys || h.IsValid(tok) || h.Call(http.MethodGet, "/verify?client=umbrella&role=reader", servertest.Bearer(next)).Status != http.StatusOK {
		t.Errorf("%d %s", second.Status, second.Body)
	}
	if got := h.Call(http.MethodPost, "/auth/refresh", servertest.FormBody("refresh_token", refresh)); got.Status != 401 {
		t.Errorf("the refresh token before: %d %s", got.Status, got.Body)
	}
	back := h.Call(http.MethodPost, "/auth/masquerade", servertest.Authentication(next), servertest.JSONBody(`{"account_id":1001}`))
	if h.TokenIn(back, "token"); back.Status != http.StatusOK {
		t.Errorf("back: %d %s", back.Status, back.Body)
	}
	h.CheckNoSecretInAudit()
}

// A login of another protocol has no refresh token, and gets none by a change of account.
func TestMasquerade_WorksWithoutRefreshToken(t *testing.T) {
	h := servertest.NewLoginServer(t)
	tok := h.TokenIn(h.Call(http.MethodPost, servertest.PathFormLogin, servertest.FormBody(servertest.CredentialFields("alice")...)))
	got := h.Call(http.MethodPost, "/auth/masquerade", servertest.SecurityToken(tok), servertest.FormBody("account_id", "2002"))
	if h.TokenIn(got, "token"); h.Keys(got) != "guid success token tokenExpiration tokenLifetime" {
		t.Errorf("%d %s", got.Status, got.Body)
	}
}

func TestMasquerade_SameAccountIsABadRequest(t *testing.T) {
	h := servertest.NewLoginServer(t)
	for name, tok := range map[string]string{
		"a login with a refresh token": h.Login("alice"),
		"one without":                  h.TokenIn(h.Call(http.MethodPost, servertest.PathFormLogin, servertest.FormBody(servertest.CredentialFields("alice")...))),
	} {
		got := h.Call(http.MethodPost, "/auth/masquerade", servertest.Bearer(tok), servertest.FormBody("account_id", "1001"))
		if got.Status != http.StatusBadRequest || h.Members(got)["field"] != "account_id" || !strings.Contains(got.Body, "already") || !h.IsValid(tok) {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
	}
	h.CheckNoSecretInAudit()
}

// umbrella lets logins live for four days, and acme for an hour.
func TestMasquerade_ExpirationsDoNotMoveToLater(t *testing.T) {
	h := servertest.NewLoginServer(t)
	first := h.Call(http.MethodPost, "/auth/login", servertest.FormBody(servertest.CredentialFields("alice")...))
	tok := h.TokenIn(first, "token")
	h.Clock.Advance(time.Minute)
	second := h.Call(http.MethodPost, "/auth/masquerade", servertest.Bearer(tok), servertest.SecurityToken(tok), servertest.FormBody("account_id", "2002"))
	before, after := h.Members(first), h.Members(second)
	for _, field := range []string{"tokenExpiration", "refreshTokenExpiration"} {
		if before[field] != after[field] {
			t.Errorf("%s is %v, and was %v", field, after[field], before[field])
		}
	}
	if after["tokenLifetime"] != 3540.0 {
		t.Errorf("tokenLifetime is %v", after["tokenLifetime"])
	}
}

// Each attempt reads from the API server, whichever account it names.
func TestMasquerade_BudgetPerCaller(t *testing.T) {
	h := servertest.NewLoginServer(t)
	h.Endpoints.Budget = endpoint.NewBudget(endpoint.BudgetOptions{PerCaller: 1})
	tok := h.Login("alice")
	got := h.Call(http.MethodPost, "/auth/masquerade", servertest.Bearer(tok), servertest.FormBody("account_id", "9999"))
	for range 10 { // the clock stands still
		if got.Status != http.StatusBadRequest {
			break
		}
		got = h.Call(http.MethodPost, "/auth/masquerade", servertest.Bearer(tok), servertest.FormBody("account_id", "9999"))
	}
	if got.Status != http.StatusTooManyRequests || got.Header.Get("Retry-After") == "" || h.Members(got)["success"] != false {
		t.Errorf("%d %v %s", got.Status, got.Header, got.Body)
	}
	if other := h.Login("dave"); h.Call(http.MethodPost, "/auth/masquerade", servertest.Bearer(other), servertest.FormBody("account_id", "9999")).Status != http.StatusBadRequest {
		t.Error("the budget of one user is that of another")
	}
}
