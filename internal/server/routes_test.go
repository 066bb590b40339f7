package server_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/server"
	"github.com/apptoken/operator/internal/testing/servertest"
)

func TestRoutes_PathHasOneSpelling(t *testing.T) {
	routes := []string{" /any", "GET /a/b", "POST /a/b", "GET /a/{x}", "PUT /a/{x}/c/{y}", "DELETE /a/{x}/c/{y}", "GET /{x}"}
	// The values are the route with its path values, or the status and Allow.
	for request, want := range map[string]string{
		"GET /any": "/any", "POST /any": "/any", "PROPFIND /any": "/any", "GET /any?a/b": "/any",
		"GET /a/b": "GET /a/b", "POST /a/b": "POST /a/b", "GET /a/bb": "GET /a/{x} bb", "GET /a/b%20b": "GET /a/{x} b b", "GET /a/b%3Ab": "GET /a/{x} b:b", "GET /a/b:b": "GET /a/{x} b:b",
		"GET /a/%C3%BC": "GET /a/{x} ü", "GET /a/%00": "GET /a/{x} \x00", "GET /a/%25": "GET /a/{x} %", "GET /a/%252F": "GET /a/{x} %2F", "GET /a/{x}": "GET /a/{x} {x}", "GET /a/...": "GET /a/{x} ...",
		"PUT /a/1/c/2": "PUT /a/{x}/c/{y} 1 2", "DELETE /a/1/c/2": "DELETE /a/{x}/c/{y} 1 2", "GET /x": "GET /{x} x",
		"PUT /a/b": "405 GET, HEAD, POST", "HEAD /a/b": "GET /a/b", "POST /a/x": "405 GET, HEAD", "GET /a/1/c/2": "405 PUT, DELETE", "get /a/b": "405 GET, HEAD, POST",
		"GET /": "404", "GET /a/": "404", "GET //a/b": "404", "GET /a//b": "404", "GET /a/b/": "404", "GET /a/b/c": "404", "GET /A/b": "404", "PUT /a//c/2": "404", "PUT /a/1/c/": "404",
		"GET /a/.": "404", "GET /a/..": "404", "GET /a/%2E%2E": "404", "GET /a/%2e": "404", "GET /./any": "404", "GET /x/../any": "404", "GET /a/../any": "404", "PUT /a/../c/x": "404", "GET /..": "404",
		"GET /a%2Fb": "404", "GET /a%2fb": "404", "GET /a/b%2F": "404", "GET /a/%2F": "404", "PUT /a/1%2Fc%2F2": "404", "PUT /a/x%2Fy/c/z": "404", "GET /a/b%2Fc": "404", "GET /%2Fany": "404", "GET /any%2F": "404",
	} {
		got := ""
		handler := server.Routing(routes, func(route string, r *http.Request) {
			got = strings.TrimSpace(route)
			for _, name := range []string{"x", "y"} {
				if strings.Contains(route, "{"+name+"}") {
					got += " " + r.PathValue(name)
				}
			}
		})
		method, target, _ := strings.Cut(request, " ")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(method, target, nil))
		if got == "" {
			got = strings.TrimSpace(http.StatusText(w.Code) + " " + w.Header().Get("Allow"))
			got = strings.NewReplacer("Method Not Allowed", "405", "Not Found", "404").Replace(got)
			if w.Code == 404 && w.Body.String() != servertest.NotFoundBody || w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Location") != "" {
				t.Errorf("%s: %v %s", request, w.Header(), w.Body)
			}
		}
		if got != want {
			t.Errorf("%s leads to %q, want %q", request, got, want)
		}
	}
}

// The first matching pattern gets the request, so no two may match the same path.
func TestRoutes_NoTwoMatchTheSamePath(t *testing.T) {
	all := server.Routes(servertest.NewUnstartedLoginServer(t).Endpoints)
	path := func(route string) string { return route[strings.IndexByte(route, ' ')+1:] }
	for i, one := range all {
		for _, other := range all[:i] {
			a, b := strings.Split(path(one), "/"), strings.Split(path(other), "/")
			if one == other {
				t.Errorf("%s is there twice", one)
			}
			apart := len(a) != len(b) || path(one) == path(other)
			for k := 0; !apart && k < len(a); k++ {
				apart = a[k] != b[k] && !strings.HasPrefix(a[k], "{") && !strings.HasPrefix(b[k], "{")
			}
			if !apart {
				t.Errorf("%s and %s fit the same", one, other)
			}
		}
	}
}

// A 404 does not echo the request.
func TestRoutes_NotFoundEchoesNothing(t *testing.T) {
	h := servertest.NewLoginServer(t)
	for _, path := range []string{"/" + servertest.PasswordMark, "/auth/" + servertest.PasswordMark, "/auth/login/" + servertest.PasswordMark, "/ui/" + servertest.PasswordMark, "/security/rest/" + servertest.PasswordMark + "?_wadl", "/application-tokens/v1/" + servertest.PasswordMark, "/admin-api/" + servertest.PasswordMark, "/admin-api/auth/login", "/admin-api/oauth2/token"} {
		if got := h.Call(http.MethodPost, path, servertest.FormBody(servertest.CredentialFields("alice")...)); got.Status != 404 && got.Status != 405 || strings.Contains(got.Body, servertest.PasswordMark) {
			t.Errorf("%s: %d %s", path, got.Status, got.Body)
		}
	}
	if h.Store.WriteCounts() != [2]int{} {
		t.Error("something was written")
	}
	h.CheckNoSecretInAudit()
}

func TestRoutes_UnknownMethodIsRefused(t *testing.T) {
	h := servertest.NewLoginServer(t)
	admin := servertest.Bearer(h.Login("alice"))
	before := h.Store.WriteCounts()
	allow := map[string]string{
		servertest.PathFormLogin: "POST", "/auth/login": "POST", "/auth/refresh": "POST", "/auth/masquerade": "POST", "/auth/logout": "POST", "/oauth2/token": "POST",
		servertest.PathSessionToken + "5": "GET", servertest.PathOpenToken + "5": "GET", servertest.PathSpectrumLogout: "GET", "/security/rest?_wadl": "GET, HEAD", "/security/rest/?_wadl": "GET, HEAD", "/security/TokenManagerService": "POST, GET, HEAD", "/security/TokenLogoutService/": "POST, GET, HEAD", "/openapi.json": "GET, HEAD", servertest.PathAcmeTokens: "GET, HEAD", servertest.PathUserTokens: "GET, HEAD",
		servertest.PathAcmeTokens + "/x": "PUT, GET, HEAD, PATCH, DELETE", servertest.PathUserTokens + "/x": "PUT, GET, HEAD, PATCH, DELETE", servertest.PathAcmeTokens + "/x/clone": "POST", servertest.PathUserTokens + "/x/rotate": "POST", "/application-tokens/v1/rotate": "POST",
	}
	for _, path := range slices.Sorted(maps.Keys(allow)) {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", servertest.PasswordMark, "get"} {
			if slices.Contains(strings.Split(allow[path], ", "), method) {
				continue
			}
			got := h.Call(method, path, admin, servertest.Basic("dave"))
			if got.Status != 405 || got.Header.Get("Allow") != allow[path] || strings.Contains(got.Body, servertest.PasswordMark) {
				t.Errorf("%s %s: %d %v %s", method, path, got.Status, got.Header, got.Body)
			}
		}
	}
	if h.Store.WriteCounts() != before {
		t.Error("something was written")
	}
	h.CheckNoSecretInAudit()
}
