package endpoint_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/testing/servertest"
)

func TestIssuer_ForeignHostIsRefused(t *testing.T) {
	h := servertest.NewUnstartedLoginServer(t)
	h.Serve(httptest.NewTLSServer)
	h.IsOwnName = func(host string) bool { return host == "tokens.example.com" }
	local := strings.TrimPrefix(h.URL, "https://")
	port := local[strings.LastIndex(local, ":"):]
	ask := func(path, host string) servertest.Response {
		return h.Send(http.MethodGet, path, func(r *http.Request) { r.Host = host }, servertest.Header("X-Forwarded-Host", "evil.example.org"), servertest.Header("Forwarded", "host=evil.example.org"))
	}
	for _, path := range []string{"/.well-known/oauth-authorization-server", "/security/rest?_wadl", "/security/TokenLogoutService/?wsdl"} {
		for host, isOwn := range map[string]bool{
			local: true, "localhost" + port: true, "127.0.0.1": true, "tokens.example.com": true, "tokens.example.com:443": true, "tokens.example.com" + port: true,
			"evil.example.org": false, "tokens.example.com:1": false, "tokens.example.com.evil.example.org": false, "evil.example.org" + port: false,
			"evil@tokens.example.com": false, "192.0.2.1": false, "localhost.evil.example.org": false, "[::1": false, "localhost:x": false, "::1": false,
		} {
			got := ask(path, host)
			switch {
			case isOwn && (got.Status != http.StatusOK || !strings.Contains(got.Body, "https://"+host)):
				t.Errorf("%s of %s: %d %s", path, host, got.Status, got.Body)
			case !isOwn && (got.Status != http.StatusMisdirectedRequest && got.Status != http.StatusBadRequest || strings.Contains(got.Body, "evil") || strings.Contains(got.Body, "https://")):
				t.Errorf("%s of %s: %d %s", path, host, got.Status, got.Body)
			case got.Status == http.StatusMisdirectedRequest && !strings.Contains(got.Body, "--issuer"):
				t.Errorf("the answer does not say what to do: %s", got.Body)
			}
		}
		h.Issuer = "https://gateway.example.com"
		if got := ask(path, "evil.example.org"); got.Status != http.StatusOK || !strings.Contains(got.Body, "https://gateway.example.com/") || strings.Contains(got.Body, "evil") {
			t.Errorf("%s with an issuer: %d %s", path, got.Status, got.Body)
		}
		h.Issuer = ""
	}
}
