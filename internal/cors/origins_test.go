package cors_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/cors"
)

// listed is a list with an entry of each kind.
var listed = []string{
	"https://app.example.com", "https://app.example.com:8443", "https://*.example.org", "https://*.example.net:8443",
	"http://localhost:3000", "http://127.0.0.1:3000", "http://[::1]:3000", "http://app.localhost", "https://192.0.2.7", "https://[2001:db8::7]:8443",
	"https://xn--bcher-kva.example", "https://my_app.intranet", "https://intranet",
}

func TestOrigins_Contains(t *testing.T) {
	all, err := cors.Parse(listed)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range listed {
		if want := !strings.Contains(text, "*"); all.Contains(text) != want {
			t.Errorf("%s: it is contained: %t", text, !want)
		}
	}
	for name, origins := range map[string][]string{
		"one label in place of a wildcard": {"https://a.example.org", "https://a-b_1.example.org", "https://xn--bcher-kva.example.org", "https://0.example.net:8443"},
	} {
		for _, origin := range origins {
			if !all.Contains(origin) {
				t.Errorf("%s: %s is not contained", name, origin)
			}
		}
	}
	for name, origins := range map[string][]string{
		"no origin":                   {"", "null", "*", "https://", "https", "://", "https://.", "https://.example.org"},
		"another scheme":              {"http://app.example.com", "http://a.example.org", "https://localhost:3000", "ws://app.example.com", "HTTPS://app.example.com", "ttps://app.example.com"},
		"another port":                {"https://app.example.com:443", "https://app.example.com:8444", "https://app.example.com:", "https://a.example.org:8443", "https://a.example.net", "http://localhost", "http://localhost:30000"},
		"another host":                {"https://example.com", "https://evil-app.example.com", "https://evilapp.example.com", "https://app.example.com.evil.example", "https://app.example.com-evil.example", "https://evil.example/app.example.com", "https://app.example.co"},
		"another parent":              {"https://example.org", "https://evil-example.org", "https://evil.example", "https://a.example.org.evil.example", "https://a.evil-example.org", "https://a.example.orgs", "https://a.xexample.org"},
		"two labels":                  {"https://a.b.example.org", "https://a..example.org"},
		"a label that no browser has": {"https://*.example.org", "https://A.example.org", "https://a@b.example.org", "https://a%2e.example.org", "https://a:b.example.org", "https://a/b.example.org", "https://ü.example.org", "https://a b.example.org", "https://" + strings.Repeat("a", 64) + ".example.org"},
		"upper case":                  {"https://APP.example.com", "https://a.EXAMPLE.org"},
		"more than an origin":         {"https://app.example.com/", "https://app.example.com?", "https://app.example.com#", "https://user@app.example.com", "https://a.example.org/", " https://app.example.com", "https://app.example.com ", "https://app.example.com, https://app.example.com", "https://app.example.com https://evil.example"},
		"a dot at the end":            {"https://app.example.com.", "https://a.example.org."},
		"an address written anew":     {"http://127.1:3000", "http://2130706433:3000", "http://[0:0:0:0:0:0:0:1]:3000", "http://[::ffff:127.0.0.1]:3000"},
		"a huge one":                  {"https://" + strings.Repeat("a", 1<<16) + ".example.org", "https://" + strings.Repeat("a.", 1<<16) + "example.org", strings.Repeat("https://app.example.com", 1<<12)},
	} {
		for _, origin := range origins {
			if all.Contains(origin) {
				t.Errorf("%s: %.100s is contained", name, origin)
			}
		}
	}
	if (cors.Origins{}).Contains("https://app.example.com") || (cors.Origins{}).Contains("") || !(cors.Origins{}).IsEmpty() || all.IsEmpty() {
		t.Error("the empty set is not empty, or another one is")
	}
}

// The wildcard of a list is no exact entry, and the other way round.
func TestOrigins_WildcardIsNotItsParent(t *testing.T) {
	all, err := cors.Parse([]string{"https://*.example.com"})
	if err != nil || all.Contains("https://example.com") || !all.Contains("https://a.example.com") || all.IsEmpty() {
		t.Errorf("%v, %v", all, err)
	}
}

func TestParse_ErrorSaysWhatToChange(t *testing.T) {
	for entry, want := range map[string]string{
		"*":                                 "a wildcard for all origins is not possible, because requests may have credentials",
		"null":                              "sandboxed pages",
		"NULL":                              "sandboxed pages",
		"app.example.com":                   "has no scheme",
		"//app.example.com":                 "has no scheme",
		"https:app.example.com":             "has no scheme",
		"https://":                          "has no host",
		"https://:8443":                     "has no host",
		"https://*.":                        "has no host",
		"https://app.example.com/":          "write https://app.example.com",
		"https://app.example.com:8443/":     "write https://app.example.com:8443",
		"https://App.example.com/login?a=b": "write https://app.example.com",
		"https://app.example.com?a=b":       "write https://app.example.com",
		"https://app.example.com#a":         "write https://app.example.com",
		`https://app.example.com\a`:         "write https://app.example.com",
		"https://App.example.com":           "write https://app.example.com",
		"HTTPS://app.example.com":           "write https://app.example.com",
		"https://App.example.com:443/":      "write https://app.example.com",
		"https://app.example.com:443":       "write https://app.example.com",
		"http://localhost:80":               "write http://localhost",
		"https://*.example.com:443":         "write https://*.example.com",
		"https://app.example.com:":          "invalid port",
		"https://app.example.com:0":         "invalid port",
		"https://app.example.com:08443":     "invalid port",
		"https://app.example.com:65536":     "invalid port",
		"https://app.example.com:*":         "invalid port",
		"https://app.example.com:+1":        "invalid port",
		"wss://app.example.com":             "another scheme than https",
		"file://":                           "another scheme than https",
		"chrome-extension://abcdef":         "another scheme than https",
		"://app.example.com":                "another scheme than https",
		"*://app.example.com":               "another scheme than https",
		"http://app.example.com":            "serve it over https",
		"http://*.example.com":              "serve it over https",
		"http://192.0.2.7:3000":             "serve it over https",
		"http://localhost.example.com":      "serve it over https",
		"http://127.0.0.1.example.com":      "serve it over https",
		"https://bücher.example":            "write https://xn--bcher-kva.example",
		"https://*.bücher.example:8443":     "write https://*.xn--bcher-kva.example:8443",
		"https://app.example.com.":          "write https://app.example.com",
		"https://*.com":                     "directly below com",
		"https://*.co.uk":                   "directly below co.uk",
		"https://*.github.io":               "directly below github.io",
		"https://*.internal":                "directly below internal",
		"http://*.localhost:3000":           "directly below localhost",
		"https://*":                         "another place than the first label",
		"https://*example.com":              "another place than the first label",
		"https://a*.example.com":            "another place than the first label",
		"https://a.*.com":                   "another place than the first label",
		"https://*.*.example.com":           "another place than the first label",
		"https://*.example.*":               "another place than the first label",
		"https://*.0.2.7":                   "invalid address",
		"https://*.192.0.2.7":               "a wildcard in an address",
		"https://*.[::1]":                   "a wildcard in an address",
		"https://127.1":                     "invalid address",
		"https://192.0.2.07":                "invalid address",
		"https://2130706433":                "invalid address",
		"https://[::1":                      "invalid address",
		"https://::1":                       "invalid host",
		"https://[192.0.2.7]":               "invalid address",
		"https://[fe80::1%eth0]":            "invalid address",
		"https://[2001:db8:0::7]":           "shortest form",
		"https://[::ffff:192.0.2.7]":        "shortest form",
		"https://a..example.com":            "invalid host",
		"https://a b.example.com":           "invalid host",
		"https://a,b.example.com":           "invalid host",
		"https://%61.example.com":           "invalid host",
		"https://" + strings.Repeat("a", 64) + ".example.com":  "invalid host",
		"https://" + strings.Repeat("a.", 130) + "example.com": "more than 253",
	} {
		all, err := cors.Parse([]string{"https://app.example.com", entry})
		if err == nil || !strings.Contains(err.Error(), want) || !all.IsEmpty() {
			t.Errorf("%.100s: %v", entry, err)
		}
	}
	for _, entry := range []string{"https://ada:s3cret@app.example.com", "https://s3cret@app.example.com", "s3cret@"} {
		if _, err := cors.Parse([]string{entry}); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", entry, err)
		}
	}
	if _, err := cors.Parse([]string{"null", "https://app.example.com", "*"}); err == nil || len(strings.Split(err.Error(), "\n")) != 2 {
		t.Errorf("not a line for each: %v", err)
	}
	if _, err := cors.Parse([]string{strings.Repeat("a", 1<<16)}); err == nil || len(err.Error()) > 1<<10 {
		t.Errorf("an error of %d bytes", len(err.Error()))
	}
}

// A set contains each exact entry as it is written, and for a wildcard the names with one label
// more. It contains origins and nothing else.
func FuzzOrigins(f *testing.F) {
	for _, entry := range listed {
		f.Add(entry, "https://a.example.org")
	}
	f.Add("https://*.com", "null")
	f.Add("https://ü.example", "https://a.b.example.org")
	f.Fuzz(func(t *testing.T, entry, origin string) {
		all, err := cors.Parse([]string{entry})
		if err != nil {
			if !all.IsEmpty() || strings.Contains(entry, "@") && err.Error() != `an origin contains "@": remove the user name and the password` {
				t.Errorf("%v", err)
			}
			return
		}
		one := strings.Replace(entry, "*", "a", 1)
		if !all.Contains(one) || one != entry && (all.Contains(entry) || all.Contains(strings.Replace(entry, "*", "a.b", 1)) || all.Contains(strings.Replace(entry, "*.", "", 1))) {
			t.Errorf("%q contains other origins than it should", entry)
		}
		for _, text := range []string{one, origin} {
			if !all.Contains(text) {
				continue
			}
			u, err := url.Parse(text)
			if err != nil || u.Scheme+"://"+u.Host != text || u.Hostname() == "" || strings.ToLower(text) != text {
				t.Errorf("%q contains %q, which is no origin: %v", entry, text, err)
			}
		}
		if all.Contains(origin) && origin != entry {
			_, parent, _ := strings.Cut(entry, "*")
			if !strings.Contains(entry, "*") || !strings.HasSuffix(origin, parent) || strings.Count(origin, ".") != strings.Count(entry, ".") {
				t.Errorf("%q contains %q", entry, origin)
			}
		}
	})
}

func TestOrigins_ContainsAllocatesNothing(t *testing.T) {
	all, err := cors.Parse(listed)
	if err != nil {
		t.Fatal(err)
	}
	for _, origin := range []string{"https://app.example.com", "https://a.example.org", "https://evil.example", strings.Repeat("a", 1<<16)} {
		if n := testing.AllocsPerRun(100, func() { all.Contains(origin) }); n != 0 {
			t.Errorf("%.100s: %v allocations", origin, n)
		}
	}
}
