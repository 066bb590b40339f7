package server_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/management"
	"github.com/apptoken/operator/internal/server"
	"github.com/apptoken/operator/internal/testing/servertest"
	"github.com/apptoken/operator/internal/token"
)

// Placeholders in fuzzed input, for alice's password and a live login of hers.
const (
	passwordPlaceholder   = "{her password}"
	loginTokenPlaceholder = "{her token}"
)

var loginAuditLine = regexp.MustCompile(`^\{"time":"2026[^"]+","logger":"audit","event":"[a-z._]+"(,"[a-zA-Z]+":("[ -!#-~]*"|\d+))*\}$`)

// Whatever a request holds, with or without the right password and a live token: no panic, no 5xx
// but 503, and no password in a response. The audit log has neither password nor token. The
// response is JSON, or one of the documents in other formats. SOAP 1.1 answers with 500 to whatever
// is wrong with a message.
func FuzzLoginRequest(f *testing.F) {
	for _, route := range server.Routes(servertest.NewUnstartedLoginServer(f).Endpoints) {
		method, path, _ := strings.Cut(route, " ")
		path = strings.NewReplacer("{client}", "acme", "{name}", "app", "{ttlInMinutes}", "5").Replace(path)
		for _, body := range []string{
			"username=alice%40example.com&password=" + passwordPlaceholder + "&remember-me=true&auth_only=0", "refresh_token=" + loginTokenPlaceholder + "&account_id=2002", "grant_type=password&username=alice%40example.com&password=" + passwordPlaceholder,
		} {
			f.Add(method, path, "", "Content-Type: "+servertest.ContentTypeForm, body)
			f.Add(method, path, "account_id=1001", "Authorization: Bearer "+loginTokenPlaceholder+"\nContent-Type: "+servertest.ContentTypeForm, body)
		}
		f.Add(method, path, "_wadl", "X-Security-Token: "+loginTokenPlaceholder+"\nContent-Type: application/json\nIdempotency-Key: a", `{"name":"copy","roles":["reader"],"lifetime":"1h","state":"Suspended","account_id":1001}`)
		f.Add(method, path, "x=%zz", "Authorization: Basic "+servertest.BasicCredentials(servertest.Usernames["alice"], "x")+"\nCookie: spectrum.authentication.token="+loginTokenPlaceholder+"; SESSION=x", `{"username":"`+passwordPlaceholder+`","password":`)
		f.Add(method, path+"/", "remember-me=2", "Authorization: Basic "+passwordPlaceholder+"\nContent-Type: multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"username\"\r\n\r\n"+passwordPlaceholder+"\r\n--x--")
	}
	h := servertest.NewUnstartedLoginServer(f)
	handler := h.Handler() // built once: to describe the operations takes longer than a request
	f.Fuzz(func(t *testing.T, method, path, query, headers, body string) {
		reset(h, t)
		first := serveDirectly(handler, http.MethodPost, "/auth/login", "", http.Header{"Content-Type": {servertest.ContentTypeForm}}, "username=alice%40example.com&password="+url.QueryEscape(servertest.Passwords["alice"]))
		tok, _ := h.Members(first)["token"].(string)
		if tok == "" {
			t.Fatal(first.Body)
		}
		h.CreateToken(management.Scope{Client: "acme"}, management.TokenSpec{Name: "app"})
		fill := strings.NewReplacer(passwordPlaceholder, servertest.Passwords["alice"], loginTokenPlaceholder, tok).Replace
		sent := http.Header{}
		for line := range strings.SplitSeq(fill(headers), "\n") {
			if name, value, ok := strings.Cut(line, ": "); ok {
				name = textproto.CanonicalMIMEHeaderKey(name)
				sent[name] = append(sent[name], value)
			}
		}
		got := serveDirectly(handler, method, fill(path), fill(query), sent, fill(body))
		isSOAP := strings.HasPrefix(path, "/security/Token")
		if got.Status >= 500 && got.Status != 503 && (!isSOAP || got.Status != 500) || got.Status < 200 || got.Status == 301 {
			t.Errorf("%d %s", got.Status, got.Body)
		}
		if strings.Contains(fmt.Sprint(got.Header, got.Body), servertest.PasswordMark) {
			t.Errorf("the password is in %v %s", got.Header, got.Body)
		}
		document := strings.HasPrefix(path, "/ui") || strings.TrimSuffix(path, "/") == "/security/rest" || isSOAP || path == "/openapi.json" || path == "/verify"
		if kind := got.Header.Get("Content-Type"); !document && (kind != "application/json" || got.Header.Get("Cache-Control") != "no-store") {
			t.Errorf("%d %v %s", got.Status, got.Header, got.Body)
		}
		for line := range strings.Lines(h.AuditLog.Text()) {
			if line = strings.TrimSpace(line); !loginAuditLine.MatchString(line) || strings.Contains(line, servertest.PasswordMark) || token.Redact(line) != line {
				t.Errorf("the audit log says %s", line)
			}
		}
	})
}

// serveDirectly passes a request to a handler, past the checks of net/http.
func serveDirectly(handler http.Handler, method, path, query string, header http.Header, body string) servertest.Response {
	r := httptest.NewRequest(http.MethodGet, "/", io.NopCloser(strings.NewReader(body)))
	r.Method, r.URL.Path, r.URL.RawQuery, r.RemoteAddr, r.Header = method, path, query, "192.0.2.7:1", header
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return servertest.Response{Status: w.Code, Header: w.Header(), Body: w.Body.String()}
}

// reset clears the log and the tokens, and moves the clock by a minute, which ends rate limits.
func reset(h *servertest.LoginServer, t *testing.T) {
	h.T, h.Secrets = t, nil
	h.AuditLog.Reset()
	h.Clock.Advance(time.Minute)
	for _, k := range h.TokenService.Tokens {
		if err := h.TokenService.Revoke(t.Context(), management.Scope{Client: k.Client, User: k.User}, k.Name); err != nil {
			t.Fatal(err)
		}
	}
}
