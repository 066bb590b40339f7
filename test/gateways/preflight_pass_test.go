package gateways_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/server"
)

// With --verify-pass-preflights, a preflight reaches the upstream without an identity. A caller
// cannot claim that another request is one.
func TestGateways_PassPreflightsAndNothingElse(t *testing.T) {
	for name, g := range gateways {
		t.Run(name, func(t *testing.T) {
			g.skipUnlessInstalled(t)
			t.Parallel()
			p := newFixtureWith(t, g, func(e *server.Endpoints) { e.PassPreflights = true })
			for what, x := range map[string]struct {
				method string
				change func(http.Header)
				status int
			}{
				"a preflight":                    {"OPTIONS", func(http.Header) {}, 200},
				"a preflight with a method":      {"OPTIONS", func(h http.Header) { h.Set("X-Forwarded-Method", "GET") }, 200},
				"OPTIONS of a program":           {"OPTIONS", func(h http.Header) { h.Del("Origin") }, 401},
				"OPTIONS without a later method": {"OPTIONS", func(h http.Header) { h.Del("Access-Control-Request-Method") }, 401},
				"OPTIONS with an invalid token":  {"OPTIONS", func(h http.Header) { h.Set("Authorization", "Bearer x") }, 401},
				"GET":                            {"GET", func(http.Header) {}, 401},
				"GET that claims to be OPTIONS":  {"GET", func(h http.Header) { h.Set("X-Forwarded-Method", "OPTIONS") }, 401},
				"POST that claims to be OPTIONS": {"POST", func(h http.Header) { h.Set("X-Forwarded-Method", "OPTIONS") }, 401},
				"PUT, in lower case":             {"PUT", func(h http.Header) { h["x-forwarded-method"] = []string{"OPTIONS"} }, 401},
				"POST, with underscores":         {"POST", func(h http.Header) { h["X_Forwarded_Method"] = []string{"OPTIONS"} }, 401},
				"DELETE, twice":                  {"DELETE", func(h http.Header) { h["X-Forwarded-Method"] = []string{"OPTIONS", "OPTIONS"} }, 401},
				"GET, with an overriding header": {"GET", func(h http.Header) { h.Set("X-Http-Method-Override", "OPTIONS") }, 401},
				"GET, with the header of Connection": {"GET", func(h http.Header) {
					h.Set("X-Forwarded-Method", "OPTIONS")
					h["Connection"] = []string{"close, X-Forwarded-Method"}
				}, 401},
			} {
				header := http.Header{
					"Origin": {"https://www.example.com"}, "Access-Control-Request-Method": {"POST"},
					"X-Apptoken-User": {"root"}, "X_apptoken_roles": {"admin"}, "X-Apptoken-Something": {"a lie"},
				}
				x.change(header)
				got := p.send(callerRequest{method: x.method, path: "search/all", header: header})
				if got.status != x.status {
					p.Errorf("%s: %d, want %d", what, got.status, x.status)
				}
				if got.upstream == nil {
					continue
				}
				if got.upstream.method != http.MethodOptions || got.upstream.header.Get("Access-Control-Request-Method") != "POST" {
					p.Errorf("%s: the upstream sees %s %v", what, got.upstream.method, got.upstream.header)
				}
				for name, values := range got.upstream.header {
					if strings.Contains(strings.ToLower(name), "apptoken") && strings.Join(values, "") != "" {
						p.Errorf("%s: the upstream sees %s: %q", what, name, values)
					}
				}
			}
		})
	}
}
