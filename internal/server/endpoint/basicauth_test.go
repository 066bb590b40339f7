package endpoint_test

import (
	"net/http"
	"testing"

	"github.com/apptoken/operator/internal/testing/servertest"
)

func TestBasicAuth_OtherSiteCannotUseStoredPassword(t *testing.T) {
	h := servertest.NewLoginServer(t)
	for what, x := range map[string]struct {
		name, value string
		status      int
	}{
		"no page":                                          {"X-Nothing", "", http.StatusOK},
		"a page of the operator":                           {"Sec-Fetch-Site", "same-origin", http.StatusOK},
		"an address that a user typed":                     {"Sec-Fetch-Site", "none", http.StatusOK},
		"a page of a host beside the operator":             {"Sec-Fetch-Site", "same-site", http.StatusForbidden},
		"a page of another site":                           {"Sec-Fetch-Site", "cross-site", http.StatusForbidden},
		"a page of the operator, as old browsers state it": {"Origin", h.URL, http.StatusOK},
		"a page of another host, as old browsers say":      {"Origin", "https://evil.example", http.StatusForbidden},
		"a page of nowhere":                                {"Origin", "null", http.StatusForbidden},
	} {
		got := h.Call(http.MethodGet, "/application-tokens/v1/application-token", servertest.Basic("alice"), servertest.Header(x.name, x.value))
		if got.Status != x.status {
			t.Errorf("%s: %d %s", what, got.Status, got.Body)
		}
	}
}
