package server_test

import (
	"encoding/xml"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	sessionPath = "/security/rest/token/access/session/"
	openPath    = "/security/rest/token/access/"
	logoutPath  = "/security/rest/token/logout"
)

// session returns a session token and its session ID.
func (h *loginFixture) session(minutes string) (tok, id string) {
	h.t.Helper()
	got := h.call(http.MethodGet, sessionPath+minutes, basic("alice"))
	tok = h.token(got, "access_token")
	id, _ = h.read(got)["session"].(string)
	return tok, id
}

func TestSpectrum_SessionTokenComesWithSession(t *testing.T) {
	for name, x := range map[string]struct {
		over func(http.Handler) *httptest.Server
		want string
	}{
		"in the clear": {httptest.NewServer, "SESSION=%; Path=/; HttpOnly; SameSite=Lax"},
		"over TLS":     {httptest.NewTLSServer, "SESSION=%; Path=/; HttpOnly; Secure; SameSite=Lax"},
	} {
		h := newLoginFixture(t)
		h.serve(x.over)
		got := h.call(http.MethodGet, sessionPath+"60", basic("alice"))
		tok, said := h.token(got, "access_token"), h.read(got)
		id, _ := said["session"].(string)
		if h.keys(got) != "access_token session username" || said["username"] != "alice@example.com" || tok[:4] != "ats_" || !uuidPattern.MatchString(id) { // [row 8]
			t.Errorf("%s: %s", name, got.body)
		}
		if set := got.header.Values("Set-Cookie"); !slices.Equal(set, []string{strings.ReplaceAll(x.want, "%", id)}) || got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", name, got.header)
		}
		out := h.call(http.MethodGet, logoutPath, bearer(tok), cookies("SESSION="+id))
		if set := out.header.Values("Set-Cookie"); out.status != http.StatusOK || !slices.Equal(set, []string{strings.Replace(x.want, "%; Path=/", "; Path=/; Max-Age=0", 1)}) {
			t.Errorf("%s: at the end: %d %v", name, out.status, set)
		}
		h.checkNoSecretInAudit()
	}
}

// [row 9]
func TestSpectrum_SessionTokenIsBoundToSessionAndAddress(t *testing.T) {
	h := newLoginServer(t)
	tok, id := h.session("60")
	_, other := h.session("60")
	for name, x := range map[string]struct {
		parts []requestOption
		good  bool
	}{
		"with its session":                       {[]requestOption{bearer(tok), cookies("SESSION=" + id)}, true},
		"with more cookies":                      {[]requestOption{bearer(tok), cookies("a=b", "SESSION="+id, "c")}, true},
		"in the cookie":                          {[]requestOption{cookies(credentialCookie+tok, "SESSION="+id)}, true},
		"in X-Security-Token":                    {[]requestOption{securityToken(tok), cookies("SESSION=" + id)}, true},
		"without a session":                      {[]requestOption{bearer(tok)}, false},
		"with another session":                   {[]requestOption{bearer(tok), cookies("SESSION=" + other)}, false},
		"with the session in upper case":         {[]requestOption{bearer(tok), cookies("SESSION=" + strings.ToUpper(id))}, false},
		"with the cookie's name in lower case":   {[]requestOption{bearer(tok), cookies("session=" + id)}, false},
		"with the session in quotes":             {[]requestOption{bearer(tok), cookies(`SESSION="` + id + `"`)}, false},
		"with two sessions":                      {[]requestOption{bearer(tok), cookies("SESSION="+id, "SESSION="+other)}, false},
		"in quotes":                              {[]requestOption{cookies(credentialCookie+`"`+tok+`"`, "SESSION="+id)}, false},
		"in the cookie and in a header":          {[]requestOption{bearer(tok), cookies(credentialCookie+tok, "SESSION="+id)}, false},
		"from another address":                   {[]requestOption{bearer(tok), cookies("SESSION=" + id), withForwardedFor("192.0.2.8")}, false},
		"from an unknown address":                {[]requestOption{bearer(tok), cookies("SESSION=" + id), withForwardedFor("unknown")}, false},
		"from its own, through another proxy":    {[]requestOption{bearer(tok), cookies("SESSION=" + id), withForwardedFor("192.0.2.7, 127.0.0.9")}, true},
		"from another that says it is the first": {[]requestOption{bearer(tok), cookies("SESSION=" + id), withForwardedFor("192.0.2.7, 192.0.2.8")}, false},
	} {
		for path, method := range map[string]string{"/verify": http.MethodGet, logoutPath: http.MethodGet} {
			if x.good && path == logoutPath {
				continue
			}
			if got := h.call(method, path, x.parts...); (got.status == http.StatusOK) != x.good || !x.good && got.status != http.StatusUnauthorized {
				t.Errorf("%s, %s: %d %s", name, path, got.status, got.body)
			}
		}
	}
	h.checkNoSecretInAudit()
}

func TestSpectrum_TokensEndAtRequestedTTL(t *testing.T) {
	for name, x := range map[string]struct {
		minutes string
		steps   []time.Duration // between uses
		good    bool
	}{
		"a session, not used for 30 minutes":       {"60", []time.Duration{30 * time.Minute}, false},
		"a session, a second before":               {"60", []time.Duration{30*time.Minute - time.Second}, true},
		"a session in use, at its end":             {"60", []time.Duration{20 * time.Minute, 20 * time.Minute, 20 * time.Minute}, false},
		"a session in use, before its end":         {"60", []time.Duration{20 * time.Minute, 20 * time.Minute, 20*time.Minute - time.Second}, true},
		"a session in use that has no end":         {"0", slices.Repeat([]time.Duration{29 * time.Minute}, 100), true},
		"a session without an end that is not":     {"0", []time.Duration{30 * time.Minute}, false},
		"a session of a minute":                    {"1", []time.Duration{time.Minute}, false},
		"a session of as long as can be asked for": {"5270400", slices.Repeat([]time.Duration{29 * time.Minute}, 100), true},
	} {
		t.Run(name, func(t *testing.T) {
			h := newLoginServer(t)
			tok, id := h.session(x.minutes)
			good := false
			for _, step := range x.steps {
				h.clock.advance(step)
				good = h.isValid(tok, cookies("SESSION="+id))
			}
			if good != x.good {
				t.Errorf("good: %t", good)
			}
		})
	}
}

// alice has accounts at acme, which allows open tokens that expire, at umbrella, which allows all,
// and at hushed, which allows none.
func TestSpectrum_OpenTokensFollowClientPolicy(t *testing.T) {
	for name, x := range map[string]struct {
		path   string
		status int
		says   string
	}{
		"with an end":                      {openPath + "60", 200, ""},
		"without an end":                   {openPath + "0", 403, "more than 0 minutes"},
		"without an end, where any may be": {openPath + "0?account_id=2002", 200, ""},
		"where none may be":                {openPath + "60?account_id=3003", 403, "no open tokens"},
		"a session where none may be":      {sessionPath + "60?account_id=3003", 200, ""},
	} {
		h := newLoginServer(t)
		got := h.call(http.MethodGet, x.path, basic("alice"))
		if got.status != x.status || !strings.Contains(got.body, x.says) {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
		if got.status != http.StatusOK {
			if h.store.writeCounts() != [2]int{} || len(got.header.Values("Set-Cookie")) > 0 || !strings.Contains(h.audit.text(), "login.failed") {
				t.Errorf("%s: %v, %s", name, got.header, h.audit.text())
			}
			continue
		}
		tok := h.token(got, "access_token")
		if strings.Contains(x.path, "session") {
			continue
		}
		if h.keys(got) != "access_token username" || tok[:4] != "ato_" || len(got.header.Values("Set-Cookie")) > 0 { // [row 8]
			t.Errorf("%s: %s", name, got.body)
		}
		if !h.isValid(tok, withForwardedFor("198.51.100.1")) || h.call(http.MethodGet, "/verify", cookies(credentialCookie+tok)).status != http.StatusOK {
			t.Errorf("%s: it is not good from elsewhere, or in a cookie", name)
		}
		h.clock.advance(time.Hour)
		if h.isValid(tok) != strings.Contains(x.path, "/0") {
			t.Errorf("%s: an hour later it is good, or not", name)
		}
		h.clock.advance(365 * 24 * time.Hour)
		if h.isValid(tok) != strings.Contains(x.path, "/0") {
			t.Errorf("%s: a year later it is good, or not", name)
		}
		h.checkNoSecretInAudit()
	}
}

func TestSpectrum_RefusedCallers(t *testing.T) {
	h := newLoginServer(t)
	tok := h.login("alice")
	before := h.store.writeCounts()
	for name, x := range map[string]struct {
		parts  []requestOption
		status int
	}{
		"no credential":                    {nil, 401},
		"a token":                          {[]requestOption{bearer(tok)}, 401},
		"a cookie":                         {[]requestOption{cookies(credentialCookie + tok)}, 401},
		"a wrong password":                 {[]requestOption{header("Authorization", "Basic "+basicCredentials("dave", "x"))}, 401},
		"a name alone":                     {[]requestOption{header("Authorization", "Basic ZGF2ZQ==")}, 401},
		"no name":                          {[]requestOption{header("Authorization", "Basic "+basicCredentials("", "x"))}, 401},
		"no password":                      {[]requestOption{header("Authorization", "Basic "+basicCredentials("dave", ""))}, 401},
		"what is not base64":               {[]requestOption{header("Authorization", "Basic "+marker+"!")}, 401},
		"a name twice":                     {[]requestOption{basic("dave"), basic("dave")}, 401},
		"a name and a token":               {[]requestOption{header("Authorization", "Bearer x"), basic("dave")}, 401},
		"a page of another site":           {[]requestOption{basic("dave"), header("Sec-Fetch-Site", "cross-site")}, 401},
		"one who is suspended":             {[]requestOption{basic("bob")}, 401},
		"one without an account":           {[]requestOption{basic("carol")}, 403},
		"an integrator without an account": {[]requestOption{integrator("alice")}, 400},
		"an account of another user":       {[]requestOption{basic("dave"), queryString("account_id=2002")}, 400},
		"an account twice":                 {[]requestOption{basic("dave"), queryString("account_id=1001&account_id=1001")}, 400},
	} {
		for _, path := range []string{sessionPath + "5", openPath + "5"} {
			got := h.call(http.MethodGet, path, x.parts...)
			if got.status != x.status || (got.header.Get("Www-Authenticate") != "") != (x.status == 401) || len(got.header.Values("Set-Cookie")) > 0 {
				t.Errorf("%s: %d %v %s", name, got.status, got.header, got.body)
			}
		}
	}
	if h.store.writeCounts() != before {
		t.Error("something was written")
	}
	for name, x := range map[string]struct {
		parts []requestOption
		want  string
	}{
		"a browser that goes there":     {[]requestOption{header("Sec-Fetch-Mode", "navigate"), header("Sec-Fetch-Site", "none")}, "Basic"},
		"a program":                     {nil, "Basic"},
		"a page that asks by itself":    {[]requestOption{header("Sec-Fetch-Mode", "cors")}, "Bearer"},
		"a browser sent by another one": {[]requestOption{header("Sec-Fetch-Mode", "navigate"), header("Sec-Fetch-Site", "cross-site")}, "Bearer"},
	} {
		if got := h.call(http.MethodGet, sessionPath+"5", x.parts...).header.Get("Www-Authenticate"); !strings.HasPrefix(got, x.want+" ") {
			t.Errorf("%s is asked for %q", name, got)
		}
	}
	h.checkNoSecretInAudit()
}

func TestLogout_SpectrumEndsCallingToken(t *testing.T) {
	h := newLoginServer(t)
	tok, id := h.session("60")
	openTok := h.token(h.call(http.MethodGet, openPath+"60", basic("alice")), "access_token")
	loginTok, app := h.login("alice"), h.appToken("reader")
	for name, x := range map[string]struct {
		tok    string
		parts  []requestOption
		status int
	}{
		"a session token":    {tok, []requestOption{bearer(tok), cookies("SESSION=" + id)}, 200},
		"an open token":      {openTok, []requestOption{cookies(credentialCookie + openTok)}, 200},
		"a login token":      {loginTok, []requestOption{securityToken(loginTok)}, 200},
		"a program's token":  {app, []requestOption{bearer(app)}, 403},
		"a name":             {"", []requestOption{basic("alice")}, 401},
		"a token twice":      {app, []requestOption{bearer(app), securityToken(app)}, 401},
		"nothing":            {"", nil, 401},
		"a token that ended": {"", []requestOption{bearer("ats_" + strings.Repeat("0", 49))}, 401},
	} {
		got := h.call(http.MethodGet, logoutPath, x.parts...)
		if got.status != x.status || got.status == 200 && got.body != `{"success":true}`+"\n" {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
		if x.tok != "" && h.isValid(x.tok, cookies("SESSION="+id)) == (x.status == 200) {
			t.Errorf("%s: it goes on, or ended", name)
		}
	}
	h.checkNoSecretInAudit()
}

func TestSpectrum_WADLDescribesResources(t *testing.T) {
	h := newLoginServer(t)
	type resource struct {
		Path  string `xml:"path,attr"`
		Param *struct {
			Name  string `xml:"name,attr"`
			Style string `xml:"style,attr"`
		} `xml:"param"`
		Method *struct {
			Name string `xml:"name,attr"`
		} `xml:"method"`
		List []resource `xml:"resource"`
	}
	for _, query := range []string{"?_wadl", "?wadl", "?_wadl=", "?_wadl&x=y", "?_wadl=true"} {
		got := h.call(http.MethodGet, "/security/rest"+query)
		var doc struct {
			XMLName   xml.Name `xml:"http://wadl.dev.java.net/2009/02 application"`
			Resources struct {
				Base string     `xml:"base,attr"`
				List []resource `xml:"resource"`
			} `xml:"resources"`
		}
		if err := xml.Unmarshal([]byte(got.body), &doc); err != nil || got.status != http.StatusOK || got.header.Get("Content-Type") != "application/vnd.sun.wadl+xml" {
			t.Fatalf("%s: %v, %d %v %s", query, err, got.status, got.header, got.body)
		}
		var found []string
		for _, top := range doc.Resources.List {
			for _, r := range top.List {
				found = append(found, r.Method.Name+" "+strings.TrimPrefix(doc.Resources.Base, h.url)+top.Path+r.Path)
				if strings.Contains(r.Path, "{") != (r.Param != nil && r.Param.Name == "ttlInMinutes" && r.Param.Style == "template") {
					t.Errorf("%s: %s has the parameters %v", query, r.Path, r.Param)
				}
			}
		}
		if want := []string{"GET " + sessionPath + "{ttlInMinutes}", "GET " + openPath + "{ttlInMinutes}", "GET " + logoutPath}; !slices.Equal(found, want) {
			t.Errorf("%s: %q", query, found)
		}
	}
	for _, path := range []string{"/security/rest", "/security/rest?x=_wadl", "/security/rest/?_wadl", "/security?_wadl"} {
		if got := h.call(http.MethodGet, path); got.status != http.StatusNotFound || h.keys(got) != "error error_description" {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
}

func TestOpenToken_TooLongIsForbidden(t *testing.T) {
	h := newLoginServer(t)
	for client, most := range map[string]time.Duration{"acme": 24 * time.Hour, "umbrella": 2 * time.Hour} { // umbrella allows open tokens without an end
		c, _ := h.directory.Client(client)
		c.MaxOpenLifetime = most
		h.directory.SetClient(c)
	}
	for name, x := range map[string]struct {
		path   string
		status int
		says   string
	}{
		"as long as may be":              {"1440", 200, ""},
		"a minute more":                  {"1441", 403, "1440 minutes, by its logins.maxOpenLifetime"},
		"ten years":                      {"5270400", 403, "1440 minutes, by its logins.maxOpenLifetime"},
		"more than can be counted":       {"9223372036854775807", 400, "ttlInMinutes"},
		"at another account":             {"120?account_id=2002", 200, ""},
		"a minute more at another":       {"121?account_id=2002", 403, "120 minutes, by its logins.maxOpenLifetime"},
		"without an end, where they are": {"0?account_id=2002", 403, "120 minutes, by its logins.maxOpenLifetime"},
	} {
		before := h.store.writeCounts()
		got := h.call(http.MethodGet, openPath+x.path, basic("alice"))
		if got.status != x.status || !strings.Contains(got.body, x.says) || x.status != 200 && h.store.writeCounts() != before {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	h.checkNoSecretInAudit()
}

func TestSession_WithoutTTLEndsAtMaxSessionLifetime(t *testing.T) {
	h := newLoginServer(t)
	c, _ := h.directory.Client("acme")
	c.MaxSessionLifetime = 2 * time.Hour
	h.directory.SetClient(c)
	tok, id := h.session("0")
	for range 5 {
		h.clock.advance(20 * time.Minute)
		if !h.isValid(tok, cookies("SESSION="+id)) {
			t.Fatal("it ended before")
		}
	}
	h.clock.advance(20 * time.Minute)
	if h.isValid(tok, cookies("SESSION="+id)) {
		t.Error("it goes on")
	}
}
