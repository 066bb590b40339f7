package e2e_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/cors"
)

// The flags reach the endpoints: an allowed page logs in and uses what it gets, another one gets
// nothing, and a preflight passes at /verify.
func TestCORS_AllowedPageLogsInAtOperator(t *testing.T) {
	const app, evil = "https://app.example.com", "https://evil.example"
	o := defaultOptions()
	o.Endpoints.PassPreflights = true
	var err error
	if o.Endpoints.Origins, err = cors.Parse([]string{app}); err != nil {
		t.Fatal(err)
	}
	p := newTenant(t, startOperator(t, o)).newUser("alice")
	p.waitKnown()
	send := func(method, path string, header http.Header, form string) response {
		t.Helper()
		a, err := p.sendRequest(t.Context(), "bind-address", method, path, header, form)
		p.must(err)
		markSecrets([]byte(a.body))
		return a
	}
	formFrom := func(origin string) http.Header {
		return http.Header{"Origin": {origin}, "Content-Type": {"application/x-www-form-urlencoded"}, "X-Forwarded-For": {"192.0.2.7"}}
	}

	preflight := http.Header{"Origin": {app}, "Access-Control-Request-Method": {"POST"}, "Access-Control-Request-Headers": {"content-type"}, "X-Forwarded-For": {"192.0.2.7"}}
	if a := send(http.MethodOptions, "/auth/login", preflight, ""); a.status != http.StatusNoContent || a.header.Get("Access-Control-Allow-Origin") != app {
		t.Errorf("a preflight: %d %v", a.status, a.header)
	}
	if a := send(http.MethodPost, "/auth/login", formFrom(app), p.credentials().Encode()); a.status != http.StatusOK || a.header.Get("Access-Control-Allow-Origin") != app {
		t.Errorf("a login: %d %v", a.status, a.header)
	}
	logins := len(p.loginRecords(t.Context()))
	if a := send(http.MethodPost, "/auth/login", formFrom(evil), p.credentials().Encode()); a.status != http.StatusForbidden || !strings.Contains(a.body, "--cors-allowed-origins") || a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("a login for another page: %d %v %s", a.status, a.header, a.body)
	}
	if n := len(p.loginRecords(t.Context())); n != logins {
		t.Errorf("another page has made %d logins", n-logins)
	}
	for method, want := range map[string]int{http.MethodOptions: http.StatusOK, http.MethodGet: http.StatusUnauthorized} {
		header := preflight.Clone()
		header.Set("X-Forwarded-Method", method)
		if a := send(http.MethodGet, "/verify/permission=search.query/-", header, ""); a.status != want {
			t.Errorf("/verify, for a request by %s: %d", method, a.status)
		}
	}
}
