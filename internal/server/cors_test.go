package server_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/audit"
	"github.com/apptoken/operator/internal/server"
	"github.com/apptoken/operator/internal/testing/servertest"
)

// Origins of pages in these tests.
const (
	allowedOrigin  = "https://app.example.com"
	wildcardOrigin = "https://*.example.org"
	refusedOrigin  = "https://evil.example"
)

func newCORSServer(t *testing.T) *servertest.LoginServer {
	t.Helper()
	return servertest.NewCORSServer(t, httptest.NewServer, allowedOrigin, wildcardOrigin)
}

func fromPage(origin string) servertest.RequestOption { return servertest.Header("Origin", origin) }

// asPreflight makes a request a preflight, as a browser sends it.
func asPreflight(origin string) servertest.RequestOption {
	return servertest.Combined(fromPage(origin), servertest.Combined(
		servertest.Header("Access-Control-Request-Method", "POST"), servertest.Header("Access-Control-Request-Headers", "authorization,content-type")))
}

// headersFor returns the CORS headers of a response.
func headersFor(header http.Header) []string {
	var all []string
	for name := range header {
		if strings.HasPrefix(name, "Access-Control-") {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}

// checkReadable fails unless a page of an origin may read a response, and no other may.
func checkReadable(t *testing.T, what, origin string, got servertest.Response) {
	t.Helper()
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true",
		"Access-Control-Expose-Headers": "X-Security-Token, WWW-Authenticate, Retry-After", "Vary": "Origin",
	} {
		if values := got.Header[name]; len(values) != 1 || values[0] != want {
			t.Errorf("%s: %d, %s is %q, want %q", what, got.Status, name, values, want)
		}
	}
}

var pathVariable = regexp.MustCompile(`\{[^}]*\}`)

// servedPaths returns the paths that pages of other origins may call, with their methods.
func servedPaths(h *servertest.LoginServer) map[string][]string {
	all := map[string][]string{}
	for _, route := range server.Routes(h.Endpoints) {
		method, path, _ := strings.Cut(route, " ")
		if method != "" && path != "/openapi.json" {
			path = pathVariable.ReplaceAllString(path, "5")
			all[path] = append(all[path], method)
		}
	}
	return all
}

func TestCORS_PreflightIsAnsweredAtEveryPath(t *testing.T) {
	h := newCORSServer(t)
	served := servedPaths(h)
	if len(served) < 20 {
		t.Fatalf("%d paths", len(served))
	}
	for path, methods := range served {
		for _, origin := range []string{allowedOrigin, "https://a.example.org"} {
			got := h.Send(http.MethodOptions, path, asPreflight(origin))
			checkReadable(t, path, origin, got)
			allowed := strings.Split(got.Header.Get("Access-Control-Allow-Methods"), ", ")
			for _, method := range methods {
				if !slices.Contains(allowed, method) {
					t.Errorf("%s: %s is not among %q", path, method, allowed)
				}
			}
			if rest := slices.DeleteFunc(allowed, func(m string) bool { return m == "HEAD" || slices.Contains(methods, m) }); len(rest) > 0 {
				t.Errorf("%s has no method %q", path, rest)
			}
			headers := strings.Split(got.Header.Get("Access-Control-Allow-Headers"), ", ")
			for _, name := range []string{"Authorization", "Authentication", "X-Security-Token", "Content-Type", "Idempotency-Key"} {
				if !slices.Contains(headers, name) {
					t.Errorf("%s: %s is not among %q", path, name, headers)
				}
			}
			if got.Status != http.StatusNoContent || got.Body != "" || got.Header.Get("Access-Control-Max-Age") != "600" || got.Header.Get("Cache-Control") != "no-store" || len(got.Header.Values("Access-Control-Allow-Private-Network")) > 0 {
				t.Errorf("%s: %d %v %s", path, got.Status, got.Header, got.Body)
			}
		}
		if got := h.Send(http.MethodOptions, path, asPreflight(refusedOrigin)); got.Status != http.StatusForbidden || !strings.Contains(got.Body, "--cors-allowed-origins") || len(headersFor(got.Header)) > 0 {
			t.Errorf("%s, for a page that is not allowed: %d %v %s", path, got.Status, got.Header, got.Body)
		}
		for what, parts := range map[string][]servertest.RequestOption{
			"no Origin": {servertest.Header("Access-Control-Request-Method", "POST")}, "no method": {fromPage(allowedOrigin)}, "neither": nil, "the operator's own page": {asPreflight(h.URL)},
		} {
			if got := h.Send(http.MethodOptions, path, parts...); got.Status != http.StatusMethodNotAllowed || got.Header.Get("Allow") == "" {
				t.Errorf("%s, with %s: %d %v", path, what, got.Status, got.Header)
			}
		}
	}
	if got := h.Send(http.MethodOptions, "/nothing", asPreflight(allowedOrigin)); got.Status != http.StatusNotFound {
		t.Errorf("a path that does not exist: %d", got.Status)
	}
	h.CheckNoSecretInAudit()
}

func TestCORS_AllowedPageReadsEveryResponse(t *testing.T) {
	h := newCORSServer(t)
	page := fromPage(allowedOrigin)
	tok := h.Login("alice")
	for what, x := range map[string]struct {
		method, path string
		part         servertest.RequestOption
		status       int
	}{
		"a login":               {"POST", "/auth/login", servertest.JSONBody(`{"username":"dave","password":"` + servertest.Passwords["dave"] + `"}`), 200},
		"a login by Basic":      {"POST", "/auth/login", servertest.Basic("dave"), 200},
		"a form":                {"POST", servertest.PathFormLogin, servertest.FormBody(servertest.CredentialFields("dave")...), 200},
		"OAuth":                 {"POST", "/oauth2/token", servertest.FormBody(servertest.PasswordGrant("dave")...), 200},
		"a session token":       {"GET", servertest.PathSessionToken + "5", servertest.Basic("dave"), 200},
		"tokens":                {"GET", servertest.PathAcmeTokens, servertest.Bearer(tok), 200},
		"tokens, by Basic":      {"GET", servertest.PathAcmeTokens, servertest.Basic("alice"), 200},
		"metadata":              {"GET", "/.well-known/oauth-authorization-server", nil, 200},
		"WADL":                  {"GET", "/security/rest?_wadl", nil, 200},
		"a wrong password":      {"POST", "/auth/login", servertest.FormBody("username", "dave", "password", "x"), 401},
		"no credential":         {"GET", servertest.PathSessionToken + "5", nil, 401},
		"no field":              {"POST", "/auth/refresh", nil, 400},
		"a path without object": {"GET", servertest.PathAcmeTokens + "/none", servertest.Bearer(tok), 404},
		"a path of nothing":     {"GET", "/nothing", nil, 404},
		"an escaped slash":      {"GET", "/auth%2flogin", nil, 404},
		"another method":        {"GET", "/auth/login", nil, 405},
		"a large body":          {"POST", "/auth/login", servertest.FormBody("username", strings.Repeat("a", 20<<10)), 413},
		"another encoding":      {"POST", "/auth/login", servertest.RawBody("text/plain", "x"), 415},
	} {
		parts := []servertest.RequestOption{page}
		if x.part != nil {
			parts = append(parts, x.part)
		}
		got := h.Call(x.method, x.path, parts...)
		if got.Status != x.status {
			t.Errorf("%s: %d %s", what, got.Status, got.Body)
		}
		checkReadable(t, what, allowedOrigin, got)
	}
	if events := h.AuditLog.Events(t, audit.OriginRefused); len(events) > 0 {
		t.Errorf("%v", events)
	}
	h.CheckNoSecretInAudit()
}

// A browser that is asked for a Basic password would prompt its user, and store it.
func TestCORS_AllowedPageGetsNoPasswordPrompt(t *testing.T) {
	h := newCORSServer(t)
	for _, more := range []servertest.RequestOption{servertest.Header("Sec-Fetch-Mode", "cors"), servertest.Header("Sec-Fetch-Site", "cross-site"), servertest.Header("X-Nothing", "")} {
		got := h.Call(http.MethodGet, servertest.PathSessionToken+"5", fromPage(allowedOrigin), more)
		if challenge := got.Header.Get("Www-Authenticate"); got.Status != http.StatusUnauthorized || !strings.HasPrefix(challenge, "Bearer ") {
			t.Errorf("%d %q", got.Status, challenge)
		}
	}
}

// A page can only see what went wrong if it may read the response.
func TestCORS_ResponsesOfTheListenerAreReadable(t *testing.T) {
	h := servertest.NewVectorServer(t)
	h.Origins = newCORSServer(t).Origins
	h.InFlight = server.NewInFlight(1, func() {})
	isBroken := false
	now := h.Fixture.Now
	h.Endpoints.Now = func() time.Time {
		if isBroken {
			panic("something unforeseen")
		}
		return now
	}
	l, _ := listenPatiently(t, &server.Listener{Handler: h.Handler()})
	ask := func() servertest.Response {
		h.URL = "http://" + l.Addr().String()
		return h.Do(http.MethodPost, "/oauth2/introspect", http.Header{"Origin": {allowedOrigin}, "X-Security-Token": {h.Tokens["root"]}, "Content-Type": {servertest.ContentTypeForm}}, "token=x")
	}
	isBroken = true
	failed := ask()
	isBroken = false
	slow := holdRequest(t, l, "127.0.0.1")
	defer slow.Close()
	for want, got := range map[int]servertest.Response{http.StatusInternalServerError: failed, http.StatusServiceUnavailable: ask()} {
		if got.Status != want {
			t.Errorf("%d %s, want %d", got.Status, got.Body, want)
		}
		checkReadable(t, "the response", allowedOrigin, got)
	}
}
