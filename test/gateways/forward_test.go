package gateways_test

import (
	"bytes"
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/grant"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
	"github.com/apptoken/operator/internal/verify/verifytest"
)

func TestGateways_ForwardWholeRequest(t *testing.T) {
	// Half a megabyte is more than any gateway holds in memory by default.
	long := bytes.Repeat([]byte("0123456789abcdef"), 32<<10)
	eachGateway(t, func(p *fixture) {
		for name, x := range map[string]struct {
			method string
			body   io.Reader
			sent   []byte
		}{
			"a short one":                {http.MethodPost, bytes.NewReader(long[:20]), long[:20]},
			"a long one":                 {http.MethodPost, bytes.NewReader(long), long},
			"one of unknown length":      {http.MethodPut, io.MultiReader(bytes.NewReader(long)), long},
			"a short, of unknown length": {http.MethodPatch, io.MultiReader(bytes.NewReader(long[:20])), long[:20]},
			"none":                       {http.MethodDelete, nil, nil},
		} {
			header := p.bearerHeader("indexer")
			header.Set("Content-Type", "text/x-test")
			header.Set("X-Other", "kept")
			const path = "search/a%20b?q=1&permission=x"
			got := p.send(callerRequest{method: x.method, path: path, header: header, body: x.body})
			if got.upstream == nil {
				p.Errorf("%s: %d", name, got.status)
				continue
			}
			if a := got.upstream; a.method != x.method || a.uri != "/"+path || !bytes.Equal(a.body, x.sent) ||
				a.header.Get("Content-Type") != "text/x-test" || a.header.Get("X-Other") != "kept" {
				p.Errorf("%s: %s %s with %d bytes and %v", name, a.method, a.uri, len(a.body), a.header)
			}
		}
	})
}

// A list in a header has at most 4096 bytes, and there are two lists.
func TestGateways_ForwardLongestIdentity(t *testing.T) {
	eachGateway(t, func(p *fixture) {
		name := strings.Repeat("x", 60)
		var roles []string
		for i := range 64 { // of 63 bytes and a comma
			roles = append(roles, name+"-"+strconv.Itoa(10+i))
		}
		var held []grant.Role
		for _, role := range roles {
			held = append(held, grant.Role{Name: role, Permissions: []string{role}})
		}
		p.Index.SetClient(verify.Client{Name: "acme", Ceiling: grant.NewCeiling(held), Draw: func(string, map[string]string) ([]string, bool) { return roles, true }})
		r := p.Records["indexer"]
		r.Roles = roles
		p.Index.Set(r)
		want := p.wantHeaders("indexer")
		if len(want["X-Apptoken-Roles"]) != 4095 || len(want["X-Apptoken-Permissions"]) != 4095 {
			p.Fatalf("the lists have %d and %d bytes", len(want["X-Apptoken-Roles"]), len(want["X-Apptoken-Permissions"]))
		}
		got := p.send(callerRequest{header: p.bearerHeader("indexer")})
		if got.upstream == nil {
			p.Fatalf("%d", got.status)
		}
		for header, want := range want {
			if got.upstream.header.Get(header) != want {
				p.Errorf("the upstream sees %d bytes of %s, want %d", len(got.upstream.header.Get(header)), header, len(want))
			}
		}
	})
}

// boundHeader returns headers with a token that is accepted from one address only.
func (p *fixture) boundHeader(source string) http.Header {
	p.Helper()
	minted := verifytest.Mint(p.T, token.Application, source)
	owner := record.Owner{Kind: "ApplicationToken", Namespace: "shop", Name: "bound", UID: "uid-of-bound"}
	p.Index.Set(record.Record{
		Kind: token.Application, Digest: minted.Digest(), Hint: minted.Hint(), Owner: owner, Client: "acme", Roles: []string{"primary"},
		SourceRanges: []string{netip.MustParseAddr(source).String() + "/32"}, IssuedAt: p.Now,
	})
	p.Index.Enable(owner)
	return http.Header{"Authorization": {"Bearer " + minted.Reveal()}}
}

func TestGateways_EnforceSourceRanges(t *testing.T) {
	eachGateway(t, func(p *fixture) {
		for name, x := range map[string]struct {
			from      string
			forwarded []string
			status    int
		}{
			"from there":                               {"127.0.0.2", nil, 200},
			"from there, though it says another":       {"127.0.0.2", []string{"192.0.2.5"}, 200},
			"from elsewhere":                           {"127.0.0.3", nil, 401},
			"from elsewhere, though it says otherwise": {"127.0.0.3", []string{"127.0.0.2"}, 401},
			"in two lines":                             {"127.0.0.3", []string{"127.0.0.2", "127.0.0.2"}, 401},
			"as a proxy would":                         {"127.0.0.3", []string{"127.0.0.2, 127.0.0.1"}, 401},
			"from where the gateway is":                {"127.0.0.1", []string{"127.0.0.2"}, 401},
		} {
			header := p.boundHeader("127.0.0.2")
			if x.forwarded != nil {
				header["X-Forwarded-For"] = x.forwarded
			}
			if got := p.send(callerRequest{from: x.from, header: header}); got.status != x.status {
				p.Errorf("%s: %d, want %d", name, got.status, x.status)
			}
		}
		header := p.boundHeader("127.0.0.2")
		header["Connection"] = []string{"close, X-Forwarded-For"}
		header["X-Forwarded-For"] = []string{"127.0.0.2"}
		if got := p.send(callerRequest{from: "127.0.0.3", header: header}); got.status == http.StatusOK {
			p.Error("a caller has the gateway take out its own word about the address")
		}
		for _, name := range []string{"Forwarded", "X-Real-Ip", "X_Forwarded_For", "Client-Ip"} {
			header := p.boundHeader("127.0.0.2")
			header[name] = []string{"127.0.0.2", "for=127.0.0.2"}
			if got := p.send(callerRequest{from: "127.0.0.3", header: header}); got.status != http.StatusUnauthorized {
				p.Errorf("%s: %d", name, got.status)
			}
		}
	})
}
