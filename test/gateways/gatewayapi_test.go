package gateways_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/apptoken/operator/internal/verify/verifytest"
)

// pathPattern matches the paths that Gateway API accepts in the filter ExternalAuth.
var pathPattern = regexp.MustCompile(`^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$`)

// No implementation of Gateway API runs here. The test calls the prefix of the page followed by the
// path of a request, as GEP-1494 defines.
func TestGatewayAPI_PageRequirementsAreEnforced(t *testing.T) {
	route, _, _ := strings.Cut(firstBlock(t, "gateway-api.md", "yaml"), "\n---\n")
	var page map[string]any
	if err := yaml.UnmarshalStrict([]byte(route), &page); err != nil {
		t.Fatal(err)
	}
	filters := findValues(page, "externalAuth")
	if len(filters) != 1 {
		t.Fatalf("the page has %d filters", len(filters))
	}
	prefix, _ := filters[0].(map[string]any)["http"].(map[string]any)["path"].(string)
	if !pathPattern.MatchString(prefix) {
		t.Fatalf("Gateway API does not accept the path %q", prefix)
	}
	w := verifytest.Load(t)
	handler := newEndpoints(w).Handler()
	for _, path := range []string{"/", "/search/all?q=1&client=beta", "/search/a%2Fb", "//a/../b", "/verify/-/", "/search/permission="} {
		for name, want := range map[string]int{"indexer": http.StatusOK, "nothing": http.StatusForbidden, "ended": http.StatusUnauthorized} {
			r := httptest.NewRequest(http.MethodPost, prefix+path, nil)
			r.Header.Set("Authorization", "Bearer "+w.Tokens[name])
			got := httptest.NewRecorder()
			handler.ServeHTTP(got, r)
			if got.Code != want {
				t.Errorf("%s of %s: %d, want %d", path, name, got.Code, want)
			}
			for _, header := range findValues(page, "allowedResponseHeaders")[0].([]any) {
				if _, isThere := got.Header()[header.(string)]; isThere != (want == http.StatusOK) {
					t.Errorf("%s of %s: the header %v is in the answer: %t", path, name, header, isThere)
				}
			}
		}
	}
}
