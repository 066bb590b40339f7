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
// response is JSON, or one of the documents in other formats.
func FuzzLoginRequest(f *testing.F) {
	for _, route := range server.Routes(newLoginFixture(f).Endpoints) {
		method, path, _ := strings.Cut(route, " ")
		path = strings.NewReplacer("{client}", "acme", "{name}", "app", "{ttlInMinutes}", "5").Replace(path)
		for _, body := range []string{
			"username=alice%40example.com&password=" + passwordPlaceholder + "&remember-me=true&auth_only=0", "refresh_token=" + loginTokenPlaceholder + "&account_id=2002", "grant_type=password&username=alice%40example.com&password=" + passwordPlaceholder,
		} {
			f.Add(method, path, "", "Content-Type: "+urlencoded, body)
			f.Add(method, path, "account_id=1001", "Authorization: Bearer "+loginTokenPlaceholder+"\nContent-Type: "+urlencoded, body)
		}
		f.Add(method, path, "_wadl", "X-Security-Token: "+loginTokenPlaceholder+"\nContent-Type: application/json\nIdempotency-Key: a", `{"name":"copy","roles":["reader"],"lifetime":"1h","state":"Suspended","account_id":1001}`)
		f.Add(method, path, "x=%zz", "Authorization: Basic "+basicCredentials(usernames["alice"], "x")+"\nCookie: spectrum.authentication.token="+loginTokenPlaceholder+"; SESSION=x", `{"username":"`+passwordPlaceholder+`","password":`)
		f.Add(method, path+"/", "remember-me=2", "Authorization: Basic "+passwordPlaceholder+"\nContent-Type: multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"username\"\r\n\r\n"+passwordPlaceholder+"\r\n--x--")
	}
	h := newLoginFixture(f)
	handler := h.Handler() // built once: to describe the operations takes longer than a request
	f.Fuzz(func(t *testing.T, method, path, query, headers, body string) {
		h.reset(t)
		first := serveDirectly(handler, http.MethodPost, "/auth/login", "", http.Header{"Content-Type": {urlencoded}}, "username=alice%40example.com&password="+url.QueryEscape(passwords["alice"]))
		tok, _ := h.read(first)["token"].(string)
		if tok == "" {
			t.Fatal(first.body)
		}
		h.createToken(management.Scope{Client: "acme"}, management.TokenSpec{Name: "app"})
		fill := strings.NewReplacer(passwordPlaceholder, passwords["alice"], loginTokenPlaceholder, tok).Replace
		sent := http.Header{}
		for line := range strings.SplitSeq(fill(headers), "\n") {
			if name, value, ok := strings.Cut(line, ": "); ok {
				name = textproto.CanonicalMIMEHeaderKey(name)
				sent[name] = append(sent[name], value)
			}
		}
		got := serveDirectly(handler, method, fill(path), fill(query), sent, fill(body))
		if got.status >= 500 && got.status != 503 || got.status < 200 || got.status == 301 {
			t.Errorf("%d %s", got.status, got.body)
		}
		if strings.Contains(fmt.Sprint(got.header, got.body), marker) {
			t.Errorf("the password is in %v %s", got.header, got.body)
		}
		document := strings.HasPrefix(path, "/ui") || path == "/security/rest" || path == "/openapi.json" || path == "/verify"
		if kind := got.header.Get("Content-Type"); !document && (kind != "application/json" || got.header.Get("Cache-Control") != "no-store") {
			t.Errorf("%d %v %s", got.status, got.header, got.body)
		}
		for line := range strings.Lines(h.audit.text()) {
			if line = strings.TrimSpace(line); !loginAuditLine.MatchString(line) || strings.Contains(line, marker) || token.Redact(line) != line {
				t.Errorf("the audit log says %s", line)
			}
		}
	})
}

// serveDirectly passes a request to a handler, past the checks of net/http.
func serveDirectly(handler http.Handler, method, path, query string, header http.Header, body string) httpResponse {
	r := httptest.NewRequest(http.MethodGet, "/", io.NopCloser(strings.NewReader(body)))
	r.Method, r.URL.Path, r.URL.RawQuery, r.RemoteAddr, r.Header = method, path, query, "192.0.2.7:1", header
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return httpResponse{w.Code, w.Header(), w.Body.String()}
}

// reset clears the log and the tokens, and moves the clock by a minute, which ends rate limits.
func (h *loginFixture) reset(t *testing.T) {
	h.t, h.audit.lines, h.secrets = t, nil, nil
	h.clock.advance(time.Minute)
	for _, k := range h.management.tokens {
		if err := h.management.Revoke(t.Context(), management.Scope{Client: k.Client, User: k.User}, k.Name); err != nil {
			t.Fatal(err)
		}
	}
}
