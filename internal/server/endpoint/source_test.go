package endpoint_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/apptoken/operator/internal/testing/servertest"
	"github.com/apptoken/operator/internal/verify/verifytest"
)

// The token in this test is accepted from 192.0.2.0/24 alone, so the status shows which address
// counted.
func TestSource_IsBelievedFromTrustedProxiesOnly(t *testing.T) {
	h := servertest.NewVectorServer(t) // trusts 127.0.0.0/8
	for name, x := range map[string]struct {
		remote    string
		forwarded []string
		good      bool
	}{
		"no proxy in between":                   {"192.0.2.5:1234", nil, true},
		"no proxy in between, from elsewhere":   {"198.51.100.1:1234", nil, false},
		"an untrusted peer sends one":           {"198.51.100.1:1234", []string{"192.0.2.5"}, false},
		"an untrusted peer names another":       {"192.0.2.5:1234", []string{"198.51.100.1"}, false},
		"a proxy says so":                       {"127.0.0.1:1234", []string{"192.0.2.5"}, true},
		"a proxy says another":                  {"127.0.0.1:1234", []string{"198.51.100.1"}, false},
		"a proxy says nothing":                  {"127.0.0.1:1234", nil, false},
		"a proxy passes on what a caller wrote": {"127.0.0.1:1234", []string{"192.0.2.5, 198.51.100.1"}, false},
		"the same, in a line of its own":        {"127.0.0.1:1234", []string{"192.0.2.5", "198.51.100.1"}, false},
		"the caller wrote something else":       {"127.0.0.1:1234", []string{"198.51.100.1, 192.0.2.5"}, true},
		"two proxies":                           {"127.0.0.1:1234", []string{"192.0.2.5, 127.0.0.2"}, true},
		"two proxies, a line each":              {"127.0.0.1:1234", []string{"192.0.2.5", "127.0.0.2"}, true},
		"nothing but proxies":                   {"127.0.0.1:1234", []string{"127.0.0.3, 127.0.0.2"}, false},
		"what is no address":                    {"127.0.0.1:1234", []string{"192.0.2.5, unknown"}, false},
		"with a port":                           {"127.0.0.1:1234", []string{"192.0.2.5:80"}, true},
		"with a port, IPv4 in IPv6":             {"127.0.0.1:1234", []string{"[::ffff:192.0.2.5]:80"}, true},
		"in brackets":                           {"127.0.0.1:1234", []string{"[::ffff:192.0.2.5]"}, true},
		"a proxy with a port":                   {"127.0.0.1:1234", []string{"192.0.2.5:5678, 127.0.0.2:99"}, true},
		"another with a port":                   {"127.0.0.1:1234", []string{"192.0.2.5, 198.51.100.1:80"}, false},
		"IPv4 in brackets":                      {"127.0.0.1:1234", []string{"[192.0.2.5]"}, false},
		"a port that is none":                   {"127.0.0.1:1234", []string{"192.0.2.5:http"}, false},
		"a port that is too high":               {"127.0.0.1:1234", []string{"192.0.2.5:65536"}, false},
		"a colon and no port":                   {"127.0.0.1:1234", []string{"192.0.2.5:"}, false},
		"IPv4 in IPv6":                          {"[::ffff:127.0.0.1]:1234", []string{"::ffff:192.0.2.5"}, true},
		"a connection that has no address":      {"@", []string{"192.0.2.5"}, false},
	} {
		req := httptest.NewRequest(http.MethodGet, "/verify", nil)
		req.RemoteAddr = x.remote
		req.Header["X-Forwarded-For"] = x.forwarded
		req.Header.Set("Authorization", "Bearer "+h.Tokens["ranged"])
		w := httptest.NewRecorder()
		h.Handler().ServeHTTP(w, req)
		if (w.Code == http.StatusOK) != x.good {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
}

// The token in this test is accepted from 127.0.0.0/8 alone, where the trusted proxies are. A proxy
// that names no caller does not lend it its own address. Beside an address, an empty element has no
// meaning (RFC 9110, section 5.6.1.2).
func TestSource_EmptyForwardedForIsUnknown(t *testing.T) {
	w := verifytest.Load(t)
	for name, x := range map[string]struct {
		forwarded []string
		good      bool
	}{
		"a proxy calls for itself":        {[]string{"127.0.0.9"}, true},
		"no header":                       {nil, false},
		"an empty header":                 {[]string{""}, false},
		"a header of spaces":              {[]string{" \t "}, false},
		"a comma":                         {[]string{","}, false},
		"commas and spaces":               {[]string{" , ,, "}, false},
		"several empty headers":           {[]string{"", "", ""}, false},
		"an empty element behind":         {[]string{"127.0.0.9,"}, true},
		"an empty element before":         {[]string{",127.0.0.9"}, true},
		"an empty element between":        {[]string{"127.0.0.9,,127.0.0.8"}, true},
		"an empty header behind":          {[]string{"127.0.0.9", ""}, false},
		"an empty header before":          {[]string{"", "127.0.0.9"}, false},
		"empty brackets":                  {[]string{"[]"}, false},
		"a port and no address":           {[]string{":80"}, false},
		"an address of no proxy and more": {[]string{",192.0.2.5,127.0.0.9"}, false},
	} {
		h := servertest.NewFuzzServer(t, w, "127.0.0.0/8")
		req := httptest.NewRequest(http.MethodGet, "/verify", nil)
		req.RemoteAddr = "127.0.0.1:1234"
		req.Header["X-Forwarded-For"] = x.forwarded
		req.Header.Set("Authorization", "Bearer "+h.ValidToken)
		w := httptest.NewRecorder()
		h.Handler().ServeHTTP(w, req)
		if (w.Code == http.StatusOK) != x.good {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
}
