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

	"github.com/apptoken/operator/internal/desk"
	"github.com/apptoken/operator/internal/server"
	"github.com/apptoken/operator/internal/token"
)

// Placeholders in fuzzed input, for alice's password and a live login of hers.
const (
	herPassword = "{her password}"
	herToken    = "{her token}"
)

var sayable = regexp.MustCompile(`^\{"time":"2026[^"]+","logger":"audit","event":"[a-z._]+"(,"[a-zA-Z]+":("[ -!#-~]*"|\d+))*\}$`)

// Whatever a request holds, with or without the right password and a live token: no panic, no 5xx
// but 503, and no password in a response. The audit log has neither password nor token. The
// response is JSON, or one of the documents in other formats.
func FuzzLoginRequest(f *testing.F) {
	for _, route := range server.Routes(newInn(f).Doors) {
		method, path, _ := strings.Cut(route, " ")
		path = strings.NewReplacer("{client}", "acme", "{name}", "app", "{ttlInMinutes}", "5").Replace(path)
		for _, body := range []string{
			"username=alice%40example.com&password=" + herPassword + "&remember-me=true&auth_only=0", "refresh_token=" + herToken + "&account_id=2002", "grant_type=password&username=alice%40example.com&password=" + herPassword,
		} {
			f.Add(method, path, "", "Content-Type: "+urlencoded, body)
			f.Add(method, path, "account_id=1001", "Authorization: Bearer "+herToken+"\nContent-Type: "+urlencoded, body)
		}
		f.Add(method, path, "_wadl", "X-Security-Token: "+herToken+"\nContent-Type: application/json\nIdempotency-Key: a", `{"name":"copy","roles":["reader"],"lifetime":"1h","state":"Suspended","account_id":1001}`)
		f.Add(method, path, "x=%zz", "Authorization: Basic "+encoded(usernames["alice"], "x")+"\nCookie: spectrum.authentication.token="+herToken+"; SESSION=x", `{"username":"`+herPassword+`","password":`)
		f.Add(method, path+"/", "remember-me=2", "Authorization: Basic "+herPassword+"\nContent-Type: multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"username\"\r\n\r\n"+herPassword+"\r\n--x--")
	}
	h := newInn(f)
	handler := h.Handler() // built once: to describe the operations takes longer than a request
	f.Fuzz(func(t *testing.T, method, path, query, headers, body string) {
		h.freshen(t)
		first := direct(handler, http.MethodPost, "/auth/login", "", http.Header{"Content-Type": {urlencoded}}, "username=alice%40example.com&password="+url.QueryEscape(passwords["alice"]))
		tok, _ := h.read(first)["token"].(string)
		if tok == "" {
			t.Fatal(first.body)
		}
		h.make(desk.Scope{Client: "acme"}, desk.Wanted{Name: "app"})
		fill := strings.NewReplacer(herPassword, passwords["alice"], herToken, tok).Replace
		sent := http.Header{}
		for line := range strings.SplitSeq(fill(headers), "\n") {
			if name, value, ok := strings.Cut(line, ": "); ok {
				name = textproto.CanonicalMIMEHeaderKey(name)
				sent[name] = append(sent[name], value)
			}
		}
		got := direct(handler, method, fill(path), fill(query), sent, fill(body))
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
			if line = strings.TrimSpace(line); !sayable.MatchString(line) || strings.Contains(line, marker) || token.Redact(line) != line {
				t.Errorf("the audit log says %s", line)
			}
		}
	})
}

// direct passes a request to a handler, past the checks of net/http.
func direct(handler http.Handler, method, path, query string, header http.Header, body string) reply {
	r := httptest.NewRequest(http.MethodGet, "/", io.NopCloser(strings.NewReader(body)))
	r.Method, r.URL.Path, r.URL.RawQuery, r.RemoteAddr, r.Header = method, path, query, "192.0.2.7:1", header
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return reply{w.Code, w.Header(), w.Body.String()}
}

// freshen clears the log and the tokens, and moves the clock by a minute, which ends rate limits.
func (h *inn) freshen(t *testing.T) {
	h.t, h.audit.lines, h.secrets = t, nil, nil
	h.clock.goes(time.Minute)
	for _, k := range h.desk.drawer {
		if err := h.desk.Revoke(t.Context(), desk.Scope{Client: k.Client, User: k.User}, k.Name); err != nil {
			t.Fatal(err)
		}
	}
}
