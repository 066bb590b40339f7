package server_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// logInFrom logs in over a connection from an address, with lines of X-Forwarded-For.
func (h *loginFixture) logInFrom(remote string, forwarded []string, username, secret string) int {
	r := httptest.NewRequest(http.MethodPost, "/auth/login", nil)
	formBody("username", username, "password", secret)(r)
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
			h := newLoginFixture(t)
			status := 0
			for n := 1; n < 250 && status != http.StatusTooManyRequests; n++ {
				fill := func(s string) string { return strings.ReplaceAll(s, "%", fmt.Sprint(n)) }
				status = h.logInFrom(fill(x.remote), []string{fill(x.forwarded)}, fmt.Sprint("name ", n), "a guess")
			}
			if status != http.StatusTooManyRequests {
				t.Errorf("after so many guesses the caller gets %d", status)
			}
			if got := h.logInFrom(x.other, x.saidOfOther, usernames["alice"], passwords["alice"]); got != http.StatusOK {
				t.Errorf("another user gets %d", got)
			}
		})
	}
}
