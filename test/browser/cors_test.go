package browser_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/apptoken/operator/internal/audit"
	"github.com/apptoken/operator/internal/testing/servertest"
	"github.com/apptoken/operator/test/browser"
)

// corsFixture is an operator, and a page of another origin in a browser.
type corsFixture struct {
	*servertest.LoginServer
	page *browser.Tab

	mu       sync.Mutex
	requests []string // method and path of each request that reached the operator
}

// newCORSFixture opens a page at a host, and starts an operator that allows the page if it is
// listed.
func newCORSFixture(t *testing.T, host string, isListed bool, start func(http.Handler) *httptest.Server) *corsFixture {
	t.Helper()
	site := start(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, `<!DOCTYPE html><link rel="icon" href="data:,"><title>A page of another origin</title><p>It calls the operator.`)
	}))
	t.Cleanup(site.Close)
	origin := strings.Replace(site.URL, "127.0.0.1", host, 1)
	f := &corsFixture{}
	listed := []string{"https://app.example.com"}
	if isListed {
		listed = append(listed, origin)
	}
	f.LoginServer = servertest.NewCORSServer(t, func(h http.Handler) *httptest.Server { return start(f.record(h)) }, listed...)
	f.page = browser.OpenPage(t, origin)
	return f
}

// record returns a handler that records requests, and is the proxy that names the caller.
func (f *corsFixture) record(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		f.requests = append(f.requests, r.Method+" "+r.URL.Path)
		f.mu.Unlock()
		r.Header.Set("X-Forwarded-For", "192.0.2.7")
		next.ServeHTTP(w, r)
	})
}

// takeRequests returns the requests since the last call.
func (f *corsFixture) takeRequests() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.requests
	f.requests = nil
	return all
}

// fetch makes a request of the page, which must have this status, and returns the members of the
// body.
func (f *corsFixture) fetch(method, path string, status int, o browser.FetchOptions) (browser.FetchResult, map[string]any) {
	f.T.Helper()
	o.Method = method
	got := f.page.Fetch(f.URL+path, o)
	var members map[string]any
	if err := json.Unmarshal([]byte(got.Body), &members); err != nil || got.Status != status || got.Error != "" {
		f.T.Fatalf("%s %s: %d %s %s, want %d", method, path, got.Status, got.Error, got.Body, status)
	}
	return got, members
}

func (f *corsFixture) assertRequests(want ...string) {
	f.T.Helper()
	if got := f.takeRequests(); !slices.Equal(got, want) {
		f.T.Errorf("the browser sent %q, want %q", got, want)
	}
}

func text(members map[string]any, name string) string {
	value, _ := members[name].(string)
	return value
}

func jsonHeader() map[string]string { return map[string]string{"Content-Type": "application/json"} }

func bearerHeader(tok string) map[string]string {
	return map[string]string{"Authorization": "Bearer " + tok}
}

func credentials(user string) string {
	body, _ := json.Marshal(map[string]string{"username": servertest.Usernames[user], "password": servertest.Passwords[user]})
	return string(body)
}

// sites holds where the page is, as the operator sees it. Browsers treat ports as one site.
var sites = map[string]struct {
	host  string
	start func(http.Handler) *httptest.Server
}{
	"another port":           {"127.0.0.1", httptest.NewServer},
	"another site":           {"localhost", httptest.NewServer},
	"another site, over TLS": {"localhost", httptest.NewTLSServer},
}

func TestCORS_AllowedPageLogsIn(t *testing.T) {
	for name, x := range sites {
		t.Run(name, func(t *testing.T) {
			f := newCORSFixture(t, x.host, true, x.start)
			_, pair := f.fetch("POST", "/auth/login", 200, browser.FetchOptions{Headers: jsonHeader(), Body: credentials("alice")})
			f.assertRequests("OPTIONS /auth/login", "POST /auth/login")
			refresh, err := json.Marshal(map[string]string{"refresh_token": text(pair, "refreshToken")})
			if err != nil {
				t.Fatal(err)
			}
			_, pair = f.fetch("POST", "/auth/refresh", 200, browser.FetchOptions{Headers: jsonHeader(), Body: string(refresh)})
			f.takeRequests()
			f.fetch("GET", servertest.PathAcmeTokens, 200, browser.FetchOptions{Headers: bearerHeader(text(pair, "token"))})
			f.assertRequests("OPTIONS "+servertest.PathAcmeTokens, "GET "+servertest.PathAcmeTokens)
			_, made := f.fetch("PUT", servertest.PathAcmeTokens+"/crawler", 200, browser.FetchOptions{
				Headers: map[string]string{"Authentication": "Bearer " + text(pair, "token"), "Content-Type": "application/json"}, Body: `{"roles":["developer"]}`,
			})
			if !strings.HasPrefix(text(made, "data"), "ata_") {
				t.Errorf("%v", made)
			}
			f.fetch("POST", "/auth/login", 401, browser.FetchOptions{Headers: jsonHeader(), Body: `{"username":"dave","password":"x"}`})
		})
	}
}

func TestCORS_AllowedPageReadsTokenHeader(t *testing.T) {
	f := newCORSFixture(t, "localhost", true, httptest.NewServer)
	form := url.Values{"username": {servertest.Usernames["alice"]}, "password": {servertest.Passwords["alice"]}}
	got, _ := f.fetch("POST", servertest.PathFormLogin, 200, browser.FetchOptions{Headers: map[string]string{"Content-Type": servertest.ContentTypeForm}, Body: form.Encode()})
	f.assertRequests("POST " + servertest.PathFormLogin) // a form needs no preflight
	tok := got.Headers["x-security-token"]
	if !strings.HasPrefix(tok, "atl_") {
		t.Fatalf("the page reads the headers %v", got.Headers)
	}
	f.fetch("GET", servertest.PathUserTokens, 200, browser.FetchOptions{Headers: map[string]string{"X-Security-Token": tok}})
	f.assertRequests("OPTIONS "+servertest.PathUserTokens, "GET "+servertest.PathUserTokens)
}

func TestCORS_AllowedPageUsesSessionCookie(t *testing.T) {
	for name, x := range sites {
		t.Run(name, func(t *testing.T) {
			f := newCORSFixture(t, x.host, true, x.start)
			basic := map[string]string{"Authorization": "Basic " + servertest.BasicCredentials(servertest.Usernames["alice"], servertest.Passwords["alice"])}
			_, session := f.fetch("GET", servertest.PathSessionToken+"60", 200, browser.FetchOptions{Headers: basic, Credentials: "include"})
			f.assertRequests("OPTIONS "+servertest.PathSessionToken+"60", "GET "+servertest.PathSessionToken+"60")
			tok := text(session, "access_token")
			f.fetch("GET", servertest.PathAcmeTokens, 401, browser.FetchOptions{Headers: bearerHeader(tok)})
			f.fetch("GET", servertest.PathAcmeTokens, 200, browser.FetchOptions{Headers: bearerHeader(tok), Credentials: "include"})
			f.fetch("GET", servertest.PathSpectrumLogout, 200, browser.FetchOptions{Headers: bearerHeader(tok), Credentials: "include"})
			f.fetch("GET", servertest.PathAcmeTokens, 401, browser.FetchOptions{Headers: bearerHeader(tok), Credentials: "include"})
		})
	}
}

// A page that is not listed reads nothing, and nothing is issued for it. The audit log has the
// cause.
func TestCORS_OtherPageGetsNothing(t *testing.T) {
	for name, x := range sites {
		t.Run(name, func(t *testing.T) {
			f := newCORSFixture(t, x.host, false, x.start)
			basic := map[string]string{"Authorization": "Basic " + servertest.BasicCredentials(servertest.Usernames["dave"], servertest.Passwords["dave"])}
			form := url.Values{"username": {servertest.Usernames["dave"]}, "password": {servertest.Passwords["dave"]}}.Encode()
			before := f.Store.WriteCounts()
			for _, o := range []struct {
				path, arrives string
				browser.FetchOptions
			}{
				{"/auth/login", "OPTIONS", browser.FetchOptions{Method: "POST", Headers: jsonHeader(), Body: credentials("dave")}},
				{servertest.PathSessionToken + "60", "OPTIONS", browser.FetchOptions{Headers: basic, Credentials: "include"}},
				{servertest.PathFormLogin, "POST", browser.FetchOptions{Method: "POST", Headers: map[string]string{"Content-Type": servertest.ContentTypeForm}, Body: form, Credentials: "include"}},
				{servertest.PathSpectrumLogout, "GET", browser.FetchOptions{Credentials: "include"}},
			} {
				if got := f.page.Fetch(f.URL+o.path, o.FetchOptions); got.Status != 0 || !strings.Contains(got.Error, "Failed to fetch") {
					t.Errorf("%s: the page reads %d %q %s", o.path, got.Status, got.Error, got.Body)
				}
				f.assertRequests(o.arrives + " " + o.path)
			}
			opaque := f.page.Fetch(f.URL+servertest.PathFormLogin, browser.FetchOptions{Method: "POST", Headers: map[string]string{"Content-Type": servertest.ContentTypeForm}, Body: form, Mode: "no-cors", Credentials: "include"})
			if opaque.Status != 0 || opaque.Body != "" || len(opaque.Headers) > 0 {
				t.Errorf("without CORS, the page reads %+v", opaque)
			}
			if f.Store.WriteCounts() != before || len(f.LoginResults.All) > 0 {
				t.Error("something was issued, or counted as a login")
			}
			events := f.AuditLog.Events(t, audit.OriginRefused)
			if len(events) != 5 || slices.ContainsFunc(events, func(e map[string]any) bool { return e["verdict"] != "OriginNotListed" }) {
				t.Errorf("%v", events)
			}
			f.CheckNoSecretInAudit()
		})
	}
}
