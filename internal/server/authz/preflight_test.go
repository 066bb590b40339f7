package authz_test

import (
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/apptoken/operator/internal/testing/servertest"
)

var identityNames = []string{
	"X-Apptoken-Subject", "X-Apptoken-Client", "X-Apptoken-User", "X-Apptoken-Roles", "X-Apptoken-Permissions", "X-Apptoken-Token-Id", "X-Apptoken-Kind",
}

// preflightHeader returns the headers of a preflight, as a gateway forwards them.
func preflightHeader() http.Header {
	return http.Header{
		"Origin": {"https://www.example.com"}, "Access-Control-Request-Method": {"POST"}, "Access-Control-Request-Headers": {"authorization"}, "X-Forwarded-Method": {"OPTIONS"},
	}
}

// preflights holds changes of a preflight, and whether it still passes.
var preflights = map[string]struct {
	change func(http.Header)
	passes bool
}{
	"a preflight":                    {func(http.Header) {}, true},
	"a page without an origin":       {func(h http.Header) { h.Set("Origin", "null") }, true},
	"a preflight without headers":    {func(h http.Header) { h.Del("Access-Control-Request-Headers") }, true},
	"no origin":                      {func(h http.Header) { h.Del("Origin") }, false},
	"an empty origin":                {func(h http.Header) { h.Set("Origin", "") }, false},
	"two origins":                    {func(h http.Header) { h.Add("Origin", "https://www.example.com") }, false},
	"no method of a later request":   {func(h http.Header) { h.Del("Access-Control-Request-Method") }, false},
	"two methods of a later request": {func(h http.Header) { h.Add("Access-Control-Request-Method", "GET") }, false},
	"Basic":                          {func(h http.Header) { h.Set("Authorization", "Basic YWxpY2U6c2VjcmV0") }, false},
	"a malformed token":              {func(h http.Header) { h.Set("Authorization", "Bearer x") }, false},
	"an empty token":                 {func(h http.Header) { h["X-Security-Token"] = []string{""} }, false},
	"a token in another header":      {func(h http.Header) { h.Set("Authentication", "Bearer x") }, false},
	"a cookie":                       {func(h http.Header) { h.Set("Cookie", "a=b") }, false},
}

func TestForwardAuth_PreflightPassesIfAllowed(t *testing.T) {
	h := servertest.NewVectorServer(t)
	cases := maps.Clone(preflights)
	for what, values := range map[string][]string{
		"no forwarded method": nil, "another forwarded method": {"GET"}, "in lower case": {"options"}, "an empty method": {""}, "a method behind another": {"GET", "OPTIONS"}, "a method before another": {"OPTIONS", "GET"}, "a method twice": {"OPTIONS", "OPTIONS"}, "a list": {"OPTIONS, GET"},
	} {
		cases[what] = struct {
			change func(http.Header)
			passes bool
		}{func(h http.Header) { h["X-Forwarded-Method"] = values }, false}
	}
	gateway := h.Trusted
	for name, x := range cases {
		for _, allowed := range []bool{false, true} {
			for _, trusted := range []bool{false, true} {
				h.PassPreflights, h.Trusted = allowed, nil
				if trusted {
					h.Trusted = gateway
				}
				header := preflightHeader()
				x.change(header)
				for _, path := range []string{"/verify", "/verify?permission=search.query", "/verify/permission=search.query/-/search"} {
					want := http.StatusUnauthorized
					if x.passes && allowed && trusted {
						want = http.StatusOK
					}
					got := h.Do(http.MethodGet, path, header.Clone(), "")
					if got.Status != want {
						t.Errorf("%s at %s (allowed: %t, from a trusted proxy: %t): %d, want %d", name, path, allowed, trusted, got.Status, want)
					}
					for _, identity := range identityNames {
						if values := got.Header[identity]; want == http.StatusOK && (len(values) != 1 || values[0] != "") {
							t.Errorf("%s at %s: %s is %q", name, path, identity, values)
						}
					}
				}
			}
		}
	}
}

func TestForwardAuth_PreflightDoesNotHideMistakes(t *testing.T) {
	h := servertest.NewVectorServer(t)
	h.PassPreflights = true
	for path, want := range map[string]int{"/verify/permissions=search.query/-": 403, "/verify/permission=search.query": 404, "/verify?permission=%zz": 400} {
		if got := h.Do(http.MethodGet, path, preflightHeader(), ""); got.Status != want {
			t.Errorf("%s: %d, want %d", path, got.Status, want)
		}
	}
	header := preflightHeader()
	header.Set("Authorization", "Bearer "+h.Tokens["indexer"])
	if got := h.Do(http.MethodGet, "/verify", header, ""); got.Status != http.StatusOK || got.Header.Get("X-Apptoken-Subject") == "" {
		t.Errorf("with a token: %d %v", got.Status, got.Header)
	}
}

// Envoy reports the method of the request itself. A header of its caller is not the method.
func TestExtAuthz_PreflightPassesIfAllowed(t *testing.T) {
	h := servertest.NewVectorServer(t)
	gateway, proxies := h.DialExtAuthz(), h.Trusted
	for name, x := range preflights {
		for _, method := range []string{"OPTIONS", "GET", "options", ""} {
			for _, allowed := range []bool{false, true} {
				for _, trusted := range [][]netip.Prefix{nil, proxies} {
					h.PassPreflights, h.Trusted = allowed, trusted
					header := preflightHeader()
					header.Set("X-Apptoken-User", "root")
					header["x_apptoken_roles"] = []string{"admin"}
					x.change(header)
					got, err := gateway.Check(t.Context(), checkRequestWithMethod(method, header))
					if err != nil {
						t.Fatal(err)
					}
					passes := x.passes && allowed && trusted != nil && method == "OPTIONS"
					if ok := got.GetOkResponse(); (ok != nil) != passes {
						t.Errorf("%s, %q (allowed: %t, from a trusted proxy: %t): %v", name, method, allowed, trusted != nil, got)
					} else if passes {
						checkNobody(t, ok)
					}
				}
			}
		}
	}
}

func checkRequestWithMethod(method string, header http.Header) *authv3.CheckRequest {
	req := servertest.CheckRequestWith(nil, headerValues(header)...)
	req.Attributes.Request.Http.Method = method
	return req
}

// checkNobody fails unless a response removes all identity headers.
func checkNobody(t *testing.T, ok *authv3.OkHttpResponse) {
	t.Helper()
	for _, name := range append(slices.Clone(identityNames), "X_apptoken_roles") {
		if !slices.ContainsFunc(ok.GetHeadersToRemove(), func(removed string) bool { return strings.EqualFold(removed, name) }) {
			t.Errorf("%s is not removed: %v", name, ok)
		}
	}
	if len(ok.GetHeaders()) > 0 {
		t.Errorf("headers are set: %v", ok)
	}
}

func headerValues(header http.Header) (all []*corev3.HeaderValue) {
	for name, values := range header {
		for _, value := range values {
			all = append(all, &corev3.HeaderValue{Key: strings.ToLower(name), RawValue: []byte(value)})
		}
	}
	return all
}
