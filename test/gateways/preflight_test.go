package gateways_test

import (
	"net/http"
	"strings"
	"testing"
)

// withPreflights returns a gateway that is configured for pages of other origins, as its page
// shows.
func withPreflights(name string, g gateway) gateway {
	files := g.files
	g.files = func(t *testing.T, at addresses) map[string]string {
		all := files(t, at)
		switch name {
		case "nginx":
			const location = "        location /search/ {\n            auth_request /_verify/permission=search.query;\n            proxy_pass http://shop;\n        }\n"
			all["nginx.conf"] = replacePairs(t, all["nginx.conf"], location, blocks(t, "nginx.md", "nginx")[1])
		case "Caddy":
			all["Caddyfile"] = replacePairs(t, all["Caddyfile"], "\troute {\n", "\troute {\n"+blocks(t, "caddy.md", "caddyfile")[1])
		case "HAProxy":
			const asks = "    http-request lua.apptoken\n"
			all["haproxy.cfg"] = replacePairs(t, all["haproxy.cfg"], asks, blocks(t, "haproxy.md", "haproxy")[1]+asks)
		}
		return all
	}
	return g
}

func TestGateways_AnswerPreflights(t *testing.T) {
	for name, g := range gateways {
		t.Run(name, func(t *testing.T) {
			g.skipUnlessInstalled(t)
			t.Parallel()
			p := newFixture(t, withPreflights(name, g))
			preflight := func() http.Header {
				return http.Header{
					"Origin": {"https://www.example.com"}, "Access-Control-Request-Method": {"POST"}, "Access-Control-Request-Headers": {"authorization"},
				}
			}
			got := p.send(callerRequest{method: http.MethodOptions, path: "search/all", header: preflight()})
			if got.status != http.StatusNoContent || got.header.Get("Access-Control-Allow-Origin") != "https://www.example.com" ||
				!strings.Contains(strings.ToLower(got.header.Get("Access-Control-Allow-Headers")), "authorization") {
				p.Errorf("a preflight: %d %v", got.status, got.header)
			}
			if got := p.send(callerRequest{method: http.MethodPost, path: "search/all", header: http.Header{"Origin": {"https://www.example.com"}}}); got.status != http.StatusUnauthorized {
				p.Errorf("the request after it, without a credential: %d", got.status)
			}
			if got := p.send(callerRequest{path: "search/all", header: p.bearerHeader("indexer")}); got.status != http.StatusOK {
				p.Errorf("the request after it: %d", got.status)
			}
			if got := p.send(callerRequest{path: "search/all", header: p.bearerHeader("nothing")}); got.status != http.StatusForbidden {
				p.Errorf("the request after it, without the permission: %d", got.status)
			}
		})
	}
}

func TestGateways_PreflightsAreRefusedByDefault(t *testing.T) {
	eachGateway(t, func(p *fixture) {
		got := p.send(callerRequest{method: http.MethodOptions, path: "search/all", header: http.Header{"Origin": {"https://www.example.com"}}})
		if got.status != http.StatusUnauthorized {
			p.Errorf("%d", got.status)
		}
	})
}

// A misspelt requirement in the configuration of a gateway rejects every request, and passes none.
func TestGateways_MisspeltRequirementRefuses(t *testing.T) {
	for name, g := range gateways {
		t.Run(name, func(t *testing.T) {
			g.skipUnlessInstalled(t)
			t.Parallel()
			files := g.files
			g.files = func(t *testing.T, at addresses) map[string]string {
				all := files(t, at)
				for file, text := range all {
					all[file] = strings.ReplaceAll(text, "permission=search.query", "permissions=search.query")
				}
				return all
			}
			p := newFixture(t, g)
			if got := p.send(callerRequest{path: "search/all", header: p.bearerHeader("indexer")}); got.status == http.StatusOK {
				p.Errorf("%d", got.status)
			}
			if got := p.send(callerRequest{header: p.bearerHeader("indexer")}); got.status != http.StatusOK {
				p.Errorf("where nothing is required: %d", got.status)
			}
		})
	}
}
