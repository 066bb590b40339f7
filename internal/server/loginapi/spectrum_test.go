package loginapi_test

import (
	"encoding/xml"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/testing/servertest"
)

func TestSpectrum_SessionTokenComesWithSession(t *testing.T) {
	for name, x := range map[string]struct {
		over func(http.Handler) *httptest.Server
		want string
	}{
		"in the clear": {httptest.NewServer, "SESSION=%; Path=/; HttpOnly; SameSite=Lax"},
		"over TLS":     {httptest.NewTLSServer, "SESSION=%; Path=/; HttpOnly; Secure; SameSite=Lax"},
	} {
		h := servertest.NewUnstartedLoginServer(t)
		h.Serve(x.over)
		got := h.Call(http.MethodGet, servertest.PathSessionToken+"60", servertest.Basic("alice"))
		tok, said := h.TokenIn(got, "access_token"), h.Members(got)
		id, _ := said["session"].(string)
		if h.Keys(got) != "access_token session username" || said["username"] != "alice@example.com" || tok[:4] != "ats_" || !uuidPattern.MatchString(id) { // [row 8]
			t.Errorf("%s: %s", name, got.Body)
		}
		if set := got.Header.Values("Set-Cookie"); !slices.Equal(set, []string{strings.ReplaceAll(x.want, "%", id)}) || got.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", name, got.Header)
		}
		out := h.Call(http.MethodGet, servertest.PathSpectrumLogout, servertest.Bearer(tok), servertest.Cookies("SESSION="+id))
		if set := out.Header.Values("Set-Cookie"); out.Status != http.StatusOK || !slices.Equal(set, []string{strings.Replace(x.want, "%; Path=/", "; Path=/; Max-Age=0", 1)}) {
			t.Errorf("%s: at the end: %d %v", name, out.Status, set)
		}
		h.CheckNoSecretInAudit()
	}
}

// [row 9]
func TestSpectrum_SessionTokenIsBoundToSessionAndAddress(t *testing.T) {
	h := servertest.NewLoginServer(t)
	tok, id := h.SpectrumSession("60")
	_, other := h.SpectrumSession("60")
	for name, x := range map[string]struct {
		parts []servertest.RequestOption
		good  bool
	}{
		"with its session":                       {[]servertest.RequestOption{servertest.Bearer(tok), servertest.Cookies("SESSION=" + id)}, true},
		"with more cookies":                      {[]servertest.RequestOption{servertest.Bearer(tok), servertest.Cookies("a=b", "SESSION="+id, "c")}, true},
		"in the cookie":                          {[]servertest.RequestOption{servertest.Cookies(servertest.CredentialCookie+tok, "SESSION="+id)}, true},
		"in X-Security-Token":                    {[]servertest.RequestOption{servertest.SecurityToken(tok), servertest.Cookies("SESSION=" + id)}, true},
		"without a session":                      {[]servertest.RequestOption{servertest.Bearer(tok)}, false},
		"with another session":                   {[]servertest.RequestOption{servertest.Bearer(tok), servertest.Cookies("SESSION=" + other)}, false},
		"with the session in upper case":         {[]servertest.RequestOption{servertest.Bearer(tok), servertest.Cookies("SESSION=" + strings.ToUpper(id))}, false},
		"with the cookie's name in lower case":   {[]servertest.RequestOption{servertest.Bearer(tok), servertest.Cookies("session=" + id)}, false},
		"with the session in quotes":             {[]servertest.RequestOption{servertest.Bearer(tok), servertest.Cookies(`SESSION="` + id + `"`)}, true},
		"with half a quote at the session":       {[]servertest.RequestOption{servertest.Bearer(tok), servertest.Cookies(`SESSION="` + id)}, false},
		"with two sessions":                      {[]servertest.RequestOption{servertest.Bearer(tok), servertest.Cookies("SESSION="+id, "SESSION="+other)}, false},
		"in quotes":                              {[]servertest.RequestOption{servertest.Cookies(servertest.CredentialCookie+`"`+tok+`"`, "SESSION="+id)}, true},
		"in the cookie and in a header":          {[]servertest.RequestOption{servertest.Bearer(tok), servertest.Cookies(servertest.CredentialCookie+tok, "SESSION="+id)}, true},
		"in the cookie, and another in a header": {[]servertest.RequestOption{servertest.Bearer(h.UnknownToken()), servertest.Cookies(servertest.CredentialCookie+tok, "SESSION="+id)}, false},
		"from another address":                   {[]servertest.RequestOption{servertest.Bearer(tok), servertest.Cookies("SESSION=" + id), servertest.WithForwardedFor("192.0.2.8")}, false},
		"from an unknown address":                {[]servertest.RequestOption{servertest.Bearer(tok), servertest.Cookies("SESSION=" + id), servertest.WithForwardedFor("unknown")}, false},
		"from its own, through another proxy":    {[]servertest.RequestOption{servertest.Bearer(tok), servertest.Cookies("SESSION=" + id), servertest.WithForwardedFor("192.0.2.7, 127.0.0.9")}, true},
		"from another that says it is the first": {[]servertest.RequestOption{servertest.Bearer(tok), servertest.Cookies("SESSION=" + id), servertest.WithForwardedFor("192.0.2.7, 192.0.2.8")}, false},
	} {
		for path, method := range map[string]string{"/verify": http.MethodGet, servertest.PathSpectrumLogout: http.MethodGet} {
			if x.good && path == servertest.PathSpectrumLogout {
				continue
			}
			if got := h.Call(method, path, x.parts...); (got.Status == http.StatusOK) != x.good || !x.good && got.Status != http.StatusUnauthorized {
				t.Errorf("%s, %s: %d %s", name, path, got.Status, got.Body)
			}
		}
	}
	h.CheckNoSecretInAudit()
}

// alice has accounts at acme, which allows open tokens that expire, at umbrella, which allows all,
// and at hushed, which allows none.
func TestSpectrum_OpenTokensFollowClientPolicy(t *testing.T) {
	for name, x := range map[string]struct {
		path   string
		status int
		says   string
	}{
		"with an end":                      {servertest.PathOpenToken + "60", 200, ""},
		"without an end":                   {servertest.PathOpenToken + "0", 403, "more than 0 minutes"},
		"without an end, where any may be": {servertest.PathOpenToken + "0?account_id=2002", 200, ""},
		"where none may be":                {servertest.PathOpenToken + "60?account_id=3003", 403, "no open tokens"},
		"a session where none may be":      {servertest.PathSessionToken + "60?account_id=3003", 200, ""},
	} {
		h := servertest.NewLoginServer(t)
		got := h.Call(http.MethodGet, x.path, servertest.Basic("alice"))
		if got.Status != x.status || !strings.Contains(got.Body, x.says) {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
		if got.Status != http.StatusOK {
			if h.Store.WriteCounts() != [2]int{} || len(got.Header.Values("Set-Cookie")) > 0 || !strings.Contains(h.AuditLog.Text(), "login.failed") {
				t.Errorf("%s: %v, %s", name, got.Header, h.AuditLog.Text())
			}
			continue
		}
		tok := h.TokenIn(got, "access_token")
		if strings.Contains(x.path, "session") {
			continue
		}
		if h.Keys(got) != "access_token username" || tok[:4] != "ato_" || len(got.Header.Values("Set-Cookie")) > 0 { // [row 8]
			t.Errorf("%s: %s", name, got.Body)
		}
		if !h.IsValid(tok, servertest.WithForwardedFor("198.51.100.1")) || h.Call(http.MethodGet, "/verify", servertest.Cookies(servertest.CredentialCookie+tok)).Status != http.StatusOK {
			t.Errorf("%s: it is not good from elsewhere, or in a cookie", name)
		}
		h.Clock.Advance(time.Hour)
		if h.IsValid(tok) != strings.Contains(x.path, "/0") {
			t.Errorf("%s: an hour later it is good, or not", name)
		}
		h.Clock.Advance(365 * 24 * time.Hour)
		if h.IsValid(tok) != strings.Contains(x.path, "/0") {
			t.Errorf("%s: a year later it is good, or not", name)
		}
		h.CheckNoSecretInAudit()
	}
}

func TestSpectrum_RefusedCallers(t *testing.T) {
	h := servertest.NewLoginServer(t)
	tok := h.Login("alice")
	before := h.Store.WriteCounts()
	for name, x := range map[string]struct {
		parts  []servertest.RequestOption
		status int
	}{
		"no credential":                    {nil, 401},
		"a token":                          {[]servertest.RequestOption{servertest.Bearer(tok)}, 401},
		"a cookie":                         {[]servertest.RequestOption{servertest.Cookies(servertest.CredentialCookie + tok)}, 401},
		"a wrong password":                 {[]servertest.RequestOption{servertest.Header("Authorization", "Basic "+servertest.BasicCredentials("dave", "x"))}, 401},
		"a name alone":                     {[]servertest.RequestOption{servertest.Header("Authorization", "Basic ZGF2ZQ==")}, 401},
		"no name":                          {[]servertest.RequestOption{servertest.Header("Authorization", "Basic "+servertest.BasicCredentials("", "x"))}, 401},
		"no password":                      {[]servertest.RequestOption{servertest.Header("Authorization", "Basic "+servertest.BasicCredentials("dave", ""))}, 401},
		"what is not base64":               {[]servertest.RequestOption{servertest.Header("Authorization", "Basic "+servertest.PasswordMark+"!")}, 401},
		"a name twice":                     {[]servertest.RequestOption{servertest.Basic("dave"), servertest.Basic("dave")}, 401},
		"a name and a token":               {[]servertest.RequestOption{servertest.Header("Authorization", "Bearer x"), servertest.Basic("dave")}, 401},
		"a page of another site":           {[]servertest.RequestOption{servertest.Basic("dave"), servertest.Header("Sec-Fetch-Site", "cross-site")}, 403},
		"one who is suspended":             {[]servertest.RequestOption{servertest.Basic("bob")}, 401},
		"one without an account":           {[]servertest.RequestOption{servertest.Basic("carol")}, 403},
		"an integrator without an account": {[]servertest.RequestOption{servertest.Integrator("alice")}, 400},
		"an account of another user":       {[]servertest.RequestOption{servertest.Basic("dave"), servertest.QueryString("account_id=2002")}, 400},
		"an account twice":                 {[]servertest.RequestOption{servertest.Basic("dave"), servertest.QueryString("account_id=1001&account_id=1001")}, 400},
	} {
		for _, path := range []string{servertest.PathSessionToken + "5", servertest.PathOpenToken + "5"} {
			got := h.Call(http.MethodGet, path, x.parts...)
			if got.Status != x.status || (got.Header.Get("Www-Authenticate") != "") != (x.status == 401) || len(got.Header.Values("Set-Cookie")) > 0 {
				t.Errorf("%s: %d %v %s", name, got.Status, got.Header, got.Body)
			}
		}
	}
	if h.Store.WriteCounts() != before {
		t.Error("something was written")
	}
	for name, x := range map[string]struct {
		parts []servertest.RequestOption
		want  string
	}{
		"a browser that goes there":  {[]servertest.RequestOption{servertest.Header("Sec-Fetch-Mode", "navigate"), servertest.Header("Sec-Fetch-Site", "none")}, "Basic"},
		"a program":                  {nil, "Basic"},
		"a page that asks by itself": {[]servertest.RequestOption{servertest.Header("Sec-Fetch-Mode", "cors")}, "Bearer"},
	} {
		if got := h.Call(http.MethodGet, servertest.PathSessionToken+"5", x.parts...).Header.Get("Www-Authenticate"); !strings.HasPrefix(got, x.want+" ") {
			t.Errorf("%s is asked for %q", name, got)
		}
	}
	h.CheckNoSecretInAudit()
}

func TestSpectrum_WADLDescribesResources(t *testing.T) {
	h := servertest.NewLoginServer(t)
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
	for _, query := range []string{"?_wadl", "?wadl", "?_wadl=", "?_wadl&x=y", "?_wadl=true", "/?_wadl", "/?wadl"} {
		got := h.Call(http.MethodGet, "/security/rest"+query)
		var doc struct {
			XMLName   xml.Name `xml:"http://wadl.dev.java.net/2009/02 application"`
			Resources struct {
				Base string     `xml:"base,attr"`
				List []resource `xml:"resource"`
			} `xml:"resources"`
		}
		if err := xml.Unmarshal([]byte(got.Body), &doc); err != nil || got.Status != http.StatusOK || got.Header.Get("Content-Type") != "application/vnd.sun.wadl+xml" {
			t.Fatalf("%s: %v, %d %v %s", query, err, got.Status, got.Header, got.Body)
		}
		var found []string
		for _, top := range doc.Resources.List {
			for _, r := range top.List {
				found = append(found, r.Method.Name+" "+strings.TrimPrefix(doc.Resources.Base, h.URL)+top.Path+r.Path)
				if strings.Contains(r.Path, "{") != (r.Param != nil && r.Param.Name == "ttlInMinutes" && r.Param.Style == "template") {
					t.Errorf("%s: %s has the parameters %v", query, r.Path, r.Param)
				}
			}
		}
		if want := []string{"GET " + servertest.PathSessionToken + "{ttlInMinutes}", "GET " + servertest.PathOpenToken + "{ttlInMinutes}", "GET " + servertest.PathSpectrumLogout}; !slices.Equal(found, want) {
			t.Errorf("%s: %q", query, found)
		}
	}
	for _, path := range []string{"/security/rest", "/security/rest?x=_wadl", "/security/rest/", "/security/rest//?_wadl", "/security?_wadl"} {
		if got := h.Call(http.MethodGet, path); got.Status != http.StatusNotFound || h.Keys(got) != "error error_description" {
			t.Errorf("%s: %d %s", path, got.Status, got.Body)
		}
	}
}

func TestOpenToken_TooLongIsForbidden(t *testing.T) {
	h := servertest.NewLoginServer(t)
	for client, most := range map[string]time.Duration{"acme": 24 * time.Hour, "umbrella": 2 * time.Hour} { // umbrella allows open tokens without an end
		c, _ := h.Directory.Client(client)
		c.MaxOpenLifetime = most
		h.Directory.SetClient(c)
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
		before := h.Store.WriteCounts()
		got := h.Call(http.MethodGet, servertest.PathOpenToken+x.path, servertest.Basic("alice"))
		if got.Status != x.status || !strings.Contains(got.Body, x.says) || x.status != 200 && h.Store.WriteCounts() != before {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
	}
	h.CheckNoSecretInAudit()
}

func TestSession_WithoutTTLEndsAtMaxSessionLifetime(t *testing.T) {
	h := servertest.NewLoginServer(t)
	c, _ := h.Directory.Client("acme")
	c.MaxSessionLifetime = 2 * time.Hour
	h.Directory.SetClient(c)
	tok, id := h.SpectrumSession("0")
	for range 5 {
		h.Clock.Advance(20 * time.Minute)
		if !h.IsValid(tok, servertest.Cookies("SESSION="+id)) {
			t.Fatal("it ended before")
		}
	}
	h.Clock.Advance(20 * time.Minute)
	if h.IsValid(tok, servertest.Cookies("SESSION="+id)) {
		t.Error("it goes on")
	}
}
