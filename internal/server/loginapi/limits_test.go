package loginapi_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/testing/servertest"
)

// logInFrom logs in over a connection from an address, with lines of X-Forwarded-For.
func logInFrom(h *servertest.LoginServer, remote string, forwarded []string, username, secret string) int {
	r := httptest.NewRequest(http.MethodPost, "/auth/login", nil)
	servertest.FormBody("username", username, "password", secret)(r)
	r.RemoteAddr = remote
	r.Header["X-Forwarded-For"] = forwarded
	w := httptest.NewRecorder()
	h.Handler().ServeHTTP(w, r)
	return w.Code
}

// A caller whose address is unknown is counted by its connection, and no other caller is.
func TestLoginLimits_UnknownSourceIsCountedByItsConnection(t *testing.T) {
	for name, x := range map[string]struct {
		remote, forwarded string // % stands for a growing number
		other             string
		saidOfOther       []string
	}{
		"an untrusted caller sends the header":    {"198.51.100.1:1", "192.0.2.9", "198.51.100.2:1", []string{"192.0.2.9"}},
		"each time with another address in it":    {"198.51.100.1:1", "192.0.2.%", "198.51.100.2:1", []string{"192.0.2.9"}},
		"from another port each time":             {"198.51.100.1:%", "192.0.2.9", "198.51.100.2:1", []string{"192.0.2.9"}},
		"from another address of their network":   {"[2001:db8::%]:1", "192.0.2.9", "[2001:db8:0:1::1]:1", []string{"192.0.2.9"}},
		"the other comes without a proxy":         {"198.51.100.1:1", "192.0.2.9", "198.51.100.2:1", nil},
		"the other comes through a trusted proxy": {"198.51.100.1:1", "192.0.2.9", "127.0.0.1:1", []string{"192.0.2.9"}},
		"a trusted proxy says nothing of them":    {"127.0.0.1:1", "", "127.0.0.1:1", []string{"192.0.2.9"}},
		"or what cannot be parsed":                {"127.0.0.1:1", "unknown", "127.0.0.2:1", []string{"unknown"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := servertest.NewUnstartedLoginServer(t)
			status := 0
			for n := 1; n < 250 && status != http.StatusTooManyRequests; n++ {
				fill := func(s string) string { return strings.ReplaceAll(s, "%", fmt.Sprint(n)) }
				status = logInFrom(h, fill(x.remote), []string{fill(x.forwarded)}, fmt.Sprint("name ", n), "a guess")
			}
			if status != http.StatusTooManyRequests {
				t.Errorf("after so many guesses the caller gets %d", status)
			}
			if got := logInFrom(h, x.other, x.saidOfOther, servertest.Usernames["alice"], servertest.Passwords["alice"]); got != http.StatusOK {
				t.Errorf("another user gets %d", got)
			}
		})
	}
}

func TestLoginLimits_RepeatedFailureIsLimited(t *testing.T) {
	h := servertest.NewLoginServer(t)
	wrong := "Basic " + servertest.BasicCredentials("dave", "wrong "+servertest.PasswordMark)
	for range 10 {
		if got := h.Call(http.MethodPost, "/auth/login", servertest.Header("Authorization", wrong)); got.Status != 401 {
			t.Fatalf("%d %s", got.Status, got.Body)
		}
	}
	for call, parts := range map[string][]servertest.RequestOption{
		"POST /auth/login": {servertest.FormBody(servertest.CredentialFields("dave")...)}, "POST " + servertest.PathFormLogin: {servertest.FormBody(servertest.CredentialFields("dave")...)}, "POST /oauth2/token": {servertest.FormBody(servertest.PasswordGrant("dave")...)},
		"GET " + servertest.PathSessionToken + "5": {servertest.Basic("dave")}, "GET " + servertest.PathOpenToken + "5": {servertest.Basic("dave")}, "GET " + servertest.PathAcmeTokens: {servertest.Basic("dave")}, "PUT " + servertest.PathUserTokens + "/x": {servertest.Basic("dave")},
	} {
		method, path, _ := strings.Cut(call, " ")
		if got := h.Call(method, path, append(parts, servertest.WithForwardedFor("203.0.113.9"))...); got.Status != 200 && got.Status != 403 {
			t.Errorf("%s, of the user elsewhere: %d %s", call, got.Status, got.Body)
		}
		got := h.Call(method, path, parts...)
		if after, err := strconv.Atoi(got.Header.Get("Retry-After")); got.Status != 429 || err != nil || after < 1 || after > 6 {
			t.Errorf("%s: %d %v %s", call, got.Status, got.Header, got.Body)
		}
	}
	if got := h.Call(http.MethodPost, "/auth/login", servertest.FormBody(servertest.CredentialFields("erin")...)); got.Status != http.StatusOK {
		t.Errorf("another name: %d %s", got.Status, got.Body)
	}
	h.Clock.Advance(6 * time.Second)
	if got := h.Call(http.MethodPost, "/auth/login", servertest.FormBody(servertest.CredentialFields("dave")...)); got.Status != http.StatusOK {
		t.Errorf("a while later: %d %s", got.Status, got.Body)
	}
	for i := range 60 {
		h.Call(http.MethodPost, "/auth/login", servertest.FormBody("username", "absent"+strconv.Itoa(i), "password", "x"), servertest.WithForwardedFor("198.51.100.1"))
	}
	if got := h.Call(http.MethodPost, "/auth/login", servertest.FormBody(servertest.CredentialFields("alice")...), servertest.WithForwardedFor("198.51.100.1")); got.Status != 429 {
		t.Errorf("an address: %d %s", got.Status, got.Body)
	}
	h.CheckNoSecretInAudit()
}
