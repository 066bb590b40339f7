package server_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestResponse_SecurityHeaders(t *testing.T) {
	for name, start := range map[string]func(http.Handler) *httptest.Server{"over TLS": httptest.NewTLSServer, "in the clear": httptest.NewServer} {
		h := newLoginFixture(t)
		h.serve(start)
		want := ""
		if name == "over TLS" {
			want = "max-age=31536000"
		}
		for _, x := range []struct {
			method, path string
			parts        []requestOption
		}{
			{"GET", "/verify", nil}, {"GET", "/verify?permission=%zz", nil}, {"GET", "/nothing", nil}, {"GET", "/%2f", nil}, {"GET", "/verify/permissions=x/-/", nil}, {"GET", "/verify/x", nil}, {"PUT", "/oauth2/token", nil},
			{"POST", "/oauth2/token", []requestOption{formBody(passwordGrant("alice")...)}}, {"POST", "/auth/login", []requestOption{formBody(credentialFields("alice")...)}},
			{"POST", formLogin, []requestOption{formBody("username", "x", "password", "x")}}, {"POST", "/oauth2/introspect", nil}, {"GET", ofAcme, nil},
			{"GET", "/openapi.json", nil}, {"GET", "/.well-known/oauth-authorization-server", nil}, {"GET", "/security/rest?_wadl", nil},
		} {
			got := h.send(x.method, x.path, x.parts...)
			if got.header.Get("X-Content-Type-Options") != "nosniff" || got.header.Get("Strict-Transport-Security") != want ||
				got.header.Get("Content-Security-Policy") != "default-src 'none'; frame-ancestors 'none'" {
				t.Errorf("%s, %s %s: %d %v", name, x.method, x.path, got.status, got.header)
			}
		}
		page := h.send(http.MethodGet, "/ui/")
		if !strings.Contains(page.header.Get("Content-Security-Policy"), "script-src 'self'") || page.header.Get("Strict-Transport-Security") != want {
			t.Errorf("%s, the page: %v", name, page.header)
		}
		passed := h.send(http.MethodGet, "/verify", bearer(h.appToken("reader")))
		// Date and Content-Length are not in the map that the handler fills.
		if passed.status != http.StatusOK || len(passed.header) > 8+2 {
			t.Errorf("%s, a request that passes: %v", name, passed.header)
		}
	}
}

func TestIssuer_ForeignHostIsRefused(t *testing.T) {
	h := newLoginFixture(t)
	h.serve(httptest.NewTLSServer)
	h.IsOwnName = func(host string) bool { return host == "tokens.example.com" }
	local := strings.TrimPrefix(h.url, "https://")
	port := local[strings.LastIndex(local, ":"):]
	ask := func(path, host string) httpResponse {
		return h.send(http.MethodGet, path, func(r *http.Request) { r.Host = host }, header("X-Forwarded-Host", "evil.example.org"), header("Forwarded", "host=evil.example.org"))
	}
	for _, path := range []string{"/.well-known/oauth-authorization-server", "/security/rest?_wadl"} {
		for host, isOwn := range map[string]bool{
			local: true, "localhost" + port: true, "127.0.0.1": true, "tokens.example.com": true, "tokens.example.com:443": true, "tokens.example.com" + port: true,
			"evil.example.org": false, "tokens.example.com:1": false, "tokens.example.com.evil.example.org": false, "evil.example.org" + port: false,
			"evil@tokens.example.com": false, "192.0.2.1": false, "localhost.evil.example.org": false, "[::1": false, "localhost:x": false, "::1": false,
		} {
			got := ask(path, host)
			switch {
			case isOwn && (got.status != http.StatusOK || !strings.Contains(got.body, "https://"+host)):
				t.Errorf("%s of %s: %d %s", path, host, got.status, got.body)
			case !isOwn && (got.status != http.StatusMisdirectedRequest && got.status != http.StatusBadRequest || strings.Contains(got.body, "evil") || strings.Contains(got.body, "https://")):
				t.Errorf("%s of %s: %d %s", path, host, got.status, got.body)
			case got.status == http.StatusMisdirectedRequest && !strings.Contains(got.body, "--issuer"):
				t.Errorf("the answer does not say what to do: %s", got.body)
			}
		}
		h.Issuer = "https://gateway.example.com"
		if got := ask(path, "evil.example.org"); got.status != http.StatusOK || !strings.Contains(got.body, "https://gateway.example.com/") || strings.Contains(got.body, "evil") {
			t.Errorf("%s with an issuer: %d %s", path, got.status, got.body)
		}
		h.Issuer = ""
	}
}
