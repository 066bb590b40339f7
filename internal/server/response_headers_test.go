package server_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/testing/servertest"
)

func TestResponse_SecurityHeaders(t *testing.T) {
	for name, start := range map[string]func(http.Handler) *httptest.Server{"over TLS": httptest.NewTLSServer, "in the clear": httptest.NewServer} {
		h := servertest.NewUnstartedLoginServer(t)
		h.Serve(start)
		want := ""
		if name == "over TLS" {
			want = "max-age=31536000"
		}
		for _, x := range []struct {
			method, path string
			parts        []servertest.RequestOption
		}{
			{"GET", "/verify", nil}, {"GET", "/verify?permission=%zz", nil}, {"GET", "/nothing", nil}, {"GET", "/%2f", nil}, {"GET", "/verify/permissions=x/-/", nil}, {"GET", "/verify/x", nil}, {"PUT", "/oauth2/token", nil},
			{"POST", "/oauth2/token", []servertest.RequestOption{servertest.FormBody(servertest.PasswordGrant("alice")...)}}, {"POST", "/auth/login", []servertest.RequestOption{servertest.FormBody(servertest.CredentialFields("alice")...)}},
			{"POST", servertest.PathFormLogin, []servertest.RequestOption{servertest.FormBody("username", "x", "password", "x")}}, {"POST", "/oauth2/introspect", nil}, {"GET", servertest.PathAcmeTokens, nil},
			{"GET", "/openapi.json", nil}, {"GET", "/.well-known/oauth-authorization-server", nil}, {"GET", "/security/rest?_wadl", nil}, {"GET", "/security/TokenManagerService?wsdl", nil}, {"POST", "/security/TokenManagerService", nil},
		} {
			got := h.Send(x.method, x.path, x.parts...)
			if got.Header.Get("X-Content-Type-Options") != "nosniff" || got.Header.Get("Strict-Transport-Security") != want ||
				got.Header.Get("Content-Security-Policy") != "default-src 'none'; frame-ancestors 'none'" {
				t.Errorf("%s, %s %s: %d %v", name, x.method, x.path, got.Status, got.Header)
			}
		}
		page := h.Send(http.MethodGet, "/ui/")
		if !strings.Contains(page.Header.Get("Content-Security-Policy"), "script-src 'self'") || page.Header.Get("Strict-Transport-Security") != want {
			t.Errorf("%s, the page: %v", name, page.Header)
		}
		passed := h.Send(http.MethodGet, "/verify", servertest.Bearer(h.AppToken("reader")))
		// Date and Content-Length are not in the map that the handler fills.
		if passed.Status != http.StatusOK || len(passed.Header) > 8+2 {
			t.Errorf("%s, a request that passes: %v", name, passed.Header)
		}
	}
}
