package endpoint_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/apptoken/operator/internal/server/endpoint"
	"github.com/apptoken/operator/internal/testing/servertest"
)

// Rows 10, 15 and 16, in cookies.
func TestCookies_HostileCookiesAreRefused(t *testing.T) {
	s := servertest.NewListenerServer(t)
	good, session := servertest.CredentialCookie+s.Tokens["indexer"], s.Tokens["sessionanywhere"]
	bearer := "Authorization: Bearer " + session
	for name, x := range map[string]struct {
		headers []string
		status  int
	}{
		"a good one":                          {[]string{"Cookie: " + good}, 200},
		"a good one, in a header in capitals": {[]string{"COOKIE: " + good}, 200},
		"a good one behind 14,000 bytes":      {[]string{"Cookie: a=" + strings.Repeat("a", 14000) + "; " + good}, 200},
		"a good one behind 7,000 empty ones":  {[]string{"Cookie: " + strings.Repeat(";;", 3500) + good}, 200},
		"a good one behind 100,000 bytes":     {[]string{"Cookie: a=" + strings.Repeat("a", 100_000) + "; " + good}, 200},
		"100,000 bytes":                       {[]string{"Cookie: " + good + strings.Repeat("0", 100_000)}, 401},
		"100,000 bytes of session":            {[]string{bearer, "Cookie: SESSION=" + strings.Repeat("0", 100_000)}, 401},
		"200,000 bytes":                       {[]string{"Cookie: " + good + strings.Repeat("0", 200_000)}, 431},
		"513 bytes":                           {[]string{"Cookie: " + good + strings.Repeat("0", 513-len(s.Tokens["indexer"]))}, 401},
		"bytes that are no UTF-8":             {[]string{"Cookie: " + good + "\xff\xfe"}, 401},
		"NUL behind it":                       {[]string{"Cookie: " + good + "\x00"}, 400},
		"a comma for a semicolon":             {[]string{"Cookie: a=b," + good}, 401},
		"an older form":                       {[]string{"Cookie: $Version=1; " + servertest.CredentialCookie + `"` + s.Tokens["indexer"] + `"; $Path="/"`}, 200},
		// Quotes around a part of a value have no meaning (RFC 6265).
		"a semicolon in quotes":          {[]string{`Cookie: a="; ` + good + `; b="`}, 200},
		"a name with a space behind it":  {[]string{"Cookie: spectrum.authentication.token =" + s.Tokens["indexer"]}, 401},
		"a name with an escape":          {[]string{"Cookie: spectrum%2Eauthentication.token=" + s.Tokens["indexer"]}, 401},
		"Set-Cookie":                     {[]string{"Set-Cookie: " + good}, 401},
		"Cookie2":                        {[]string{"Cookie2: " + good}, 401},
		"one that is good, and Basic":    {[]string{"Authorization: Basic YWxpY2U6c2VjcmV0", "Cookie: " + good}, 200},
		"a session that is no UTF-8":     {[]string{bearer, "Cookie: SESSION=" + strings.Repeat("\xff", 36)}, 401},
		"a good one behind half a quote": {[]string{`Cookie: ` + servertest.CredentialCookie + `"` + s.Tokens["indexer"]}, 401},
		"a session of 36 quotes":         {[]string{bearer, "Cookie: SESSION=" + strings.Repeat(`"`, 36)}, 401},
	} {
		if got, wire := s.Send(servertest.GetRequest("/verify", x.headers...), false); got.Status != x.status {
			t.Errorf("%s: %d, want %d: %q", name, got.Status, x.status, wire)
		}
	}
	client := s.DialExtAuthz()
	for name, x := range map[string]struct {
		header *corev3.HeaderValue
		status int
	}{
		"a good one behind 100,000 bytes":    {&corev3.HeaderValue{Key: "cookie", Value: strings.Repeat("a=b; ", 20_000) + good}, 0},
		"100,000 bytes":                      {&corev3.HeaderValue{Key: "cookie", Value: good + strings.Repeat("0", 100_000)}, 401},
		"bytes that are no UTF-8 beside it":  {&corev3.HeaderValue{Key: "COOKIE", RawValue: []byte("a=\xff; " + good)}, 0},
		"bytes that are no UTF-8 in it":      {&corev3.HeaderValue{Key: "cookie", RawValue: []byte(good + "\xff")}, 401},
		"lines that Envoy joined by a comma": {&corev3.HeaderValue{Key: "cookie", Value: "a=b," + good}, 401},
	} {
		req := servertest.CheckRequestWith(nil, x.header)
		req.Attributes.ContextExtensions = map[string]string{"apptoken.credential": "remove"}
		got, err := client.Check(t.Context(), req)
		if err != nil || int(got.GetDeniedResponse().GetStatus().GetCode()) != x.status || (got.GetOkResponse() == nil) != (x.status != 0) {
			t.Errorf("ext_authz, %s: %v, %v", name, got.GetDeniedResponse(), err)
		}
		s.CheckNoLeak(name, got.String())
	}
	s.CheckNoLeak("the log", s.AuditLog.Text())
}

// A browser sends cookies with requests that any page makes. So a cookie authorizes no action.
func TestCookies_DoNotAuthorizeIntrospectionOrRevocation(t *testing.T) {
	h := servertest.NewVectorServer(t)
	for path, by := range map[string]string{"/oauth2/introspect": "introspector", "/oauth2/revoke": "root"} {
		for name, header := range map[string]http.Header{
			"its token":   {"Cookie": {servertest.CredentialCookie + h.Tokens[by]}},
			"its session": {"Cookie": {"SESSION=5f0c0f4e-8d5b-4a52-9b1e-3a7d2c9e6f10"}, "Authorization": {"Bearer " + h.Tokens["sessionanywhere"]}},
		} {
			header.Set("Content-Type", servertest.ContentTypeForm)
			before := len(h.Store.Records)
			got := h.Do(http.MethodPost, path, header, servertest.TokenForm(h.Tokens["unlisted"]).Encode())
			// The cookie does not count, so this is a revocation without a caller.
			own := path == "/oauth2/revoke" && name == "its token"
			if own != (got.Status == http.StatusOK) || !own && got.Status != http.StatusUnauthorized || len(h.Store.Records) != before {
				t.Errorf("%s at %s: %d %s", name, path, got.Status, got.Body)
			}
		}
	}
}

// Where the credential must not reach the upstream, its cookie must not either. All other cookies
// must.
func TestCookies_CredentialIsRemovedBeforeUpstream(t *testing.T) {
	h := servertest.NewVectorServer(t)
	gateway := h.DialExtAuthz()
	credential := servertest.CredentialCookie + h.Tokens["indexer"]
	for name, x := range map[string]struct {
		lines   []string
		bearer  bool
		rest    string
		removed bool
	}{
		"alone":                   {[]string{credential}, false, "", true},
		"among others":            {[]string{`a="b c";SESSION=x; ` + credential + " ; d"}, false, `a="b c"; SESSION=x; d`, false},
		"in a line of its own":    {[]string{"a=b", credential, "c=d"}, false, "a=b; c=d", false},
		"beside what is no UTF-8": {[]string{"a=\xff; " + credential}, false, "", true},
		"not there":               {[]string{"a=b; SESSION=x"}, true, "", false},
		"empty, beside a header":  {[]string{"a=b; " + servertest.CredentialCookie}, true, "a=b", false},
		"without cookies":         {nil, true, "", false},
	} {
		for _, remove := range []bool{true, false} {
			var lines []*corev3.HeaderValue
			for _, line := range x.lines {
				lines = append(lines, &corev3.HeaderValue{Key: "cookie", RawValue: []byte(line)})
			}
			headers := map[string]string{}
			if x.bearer {
				headers["authorization"] = "Bearer " + h.Tokens["indexer"]
			}
			req := servertest.CheckRequestWith(headers, lines...)
			if remove {
				req.Attributes.ContextExtensions = map[string]string{"apptoken.credential": "remove"}
			}
			got, err := gateway.Check(t.Context(), req)
			if err != nil || got.GetOkResponse() == nil {
				t.Fatalf("%s: %v, %v", name, got, err)
			}
			rest := ""
			for _, option := range got.GetOkResponse().GetHeaders() {
				if option.GetHeader().GetKey() == "Cookie" {
					rest = option.GetHeader().GetValue()
				}
			}
			removed := slices.Contains(got.GetOkResponse().GetHeadersToRemove(), "Cookie")
			if remove && (rest != x.rest || removed != x.removed) || !remove && (rest != "" || removed) {
				t.Errorf("%s, to be removed: %t: %q is left, all are removed: %t", name, remove, rest, removed)
			}
		}
	}
}

func TestCookies_AbsentCookiesCostNoAllocation(t *testing.T) {
	for name, h := range map[string]http.Header{
		"without cookies": {"Authorization": {"Bearer x"}, "Accept": {"*/*"}},
		"with cookies":    {"Authorization": {"Bearer x"}, "Cookie": {"a=b; SESSION=c; d=e"}},
	} {
		if n := testing.AllocsPerRun(1000, func() { endpoint.CredentialsInHeadersAndCookies(h) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// A credential or session in plain or quoted cookies equals the value that net/http reads there.
// Nothing is returned that the cookies do not hold.
func FuzzCookies(f *testing.F) {
	for _, seed := range []string{
		"", ";", "SESSION", "SESSION=", "SESSION=a", "SESSION=a; SESSION=a", servertest.CredentialCookie + "a", servertest.CredentialCookie + "a;" + servertest.CredentialCookie + "a",
		"a=b; " + servertest.CredentialCookie + "c;SESSION=d", " \t" + servertest.CredentialCookie + " a", `SESSION="a"`, `a="; SESSION=b"`, "session=a", "SESSION=a,b", "SESSION==", "\xff=\x00;=;==",
	} {
		f.Add(seed, "")
		f.Add("a=b", seed)
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		h := http.Header{"Cookie": {first, second}}
		presented := endpoint.CredentialsInHeadersAndCookies(h)
		text, many, session := presented.Text, presented.IsAmbiguous, presented.Session
		var texts, sessions []string
		for _, c := range (&http.Request{Header: h}).Cookies() {
			switch {
			case c.Name == "SESSION":
				sessions = append(sessions, c.Value)
			case c.Name+"=" == servertest.CredentialCookie && c.Value != "":
				texts = append(texts, c.Value)
			}
		}
		texts, sessions = slices.Compact(texts), slices.Compact(sessions)
		switch {
		case many && text != "":
			t.Errorf("%q of many", text)
		case len(texts) > 1 && !many, len(texts) == 1 && !many && text != texts[0]:
			t.Errorf("%q (many: %t) of %q", text, many, texts)
		case len(sessions) > 1 && session != "", len(sessions) == 1 && session != "" && session != sessions[0]:
			t.Errorf("%q of %q", session, sessions)
		}
		all := first + ";" + second
		all = strings.ReplaceAll(all, `="`, "=")
		if text != "" && !strings.Contains(all, servertest.CredentialCookie+text) || session != "" && !strings.Contains(all, "SESSION="+session) {
			t.Errorf("%q and %q are not in %q", text, session, all)
		}
	})
}
