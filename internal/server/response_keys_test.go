package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/testing/servertest"
)

// Threats row 8: this list holds every key that a response may have, so that an added key shows.
func TestResponse_HasNoOtherKeys(t *testing.T) {
	h := servertest.NewVectorServer(t)
	review := func(name string) servertest.Response {
		return h.Do(http.MethodPost, "/tokenreview", nil, `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","spec":{"token":"`+h.Tokens[name]+`"}}`)
	}
	for name, x := range map[string]struct {
		writeJSON servertest.Response
		keys      string
	}{
		"an introspection of what is good": {
			h.Post("/oauth2/introspect", "root", url.Values{"token": {h.Tokens["indexer"]}}),
			"active apptoken_account_id apptoken_kind apptoken_permissions apptoken_roles client_id iat jti scope sub token_type",
		},
		"an introspection of a login": {
			h.Post("/oauth2/introspect", "root", url.Values{"token": {h.Tokens["login"]}}),
			"active apptoken_account_id apptoken_kind apptoken_permissions apptoken_roles client_id iat jti scope sub token_type username",
		},
		"an introspection of what is not":  {h.Post("/oauth2/introspect", "root", url.Values{"token": {h.Tokens["ended"]}}), "active"},
		"an unauthenticated introspection": {h.Post("/oauth2/introspect", "", url.Values{"token": {h.Tokens["indexer"]}}), "error error_description"},
		"a revocation":                     {h.Post("/oauth2/revoke", "", url.Values{"token": {h.Tokens["unlisted"]}}), ""},
		"the metadata": {
			h.Do(http.MethodGet, "/.well-known/oauth-authorization-server", nil, ""),
			"grant_types_supported introspection_endpoint introspection_endpoint_auth_methods_supported issuer response_types_supported revocation_endpoint revocation_endpoint_auth_methods_supported",
		},
		"a review of what is good": {
			review("indexer"),
			"apiVersion kind metadata spec status status.authenticated status.user status.user.extra status.user.extra.apptoken.dev/client " +
				"status.user.extra.apptoken.dev/kind status.user.extra.apptoken.dev/permissions status.user.extra.apptoken.dev/token-id status.user.groups status.user.uid status.user.username",
		},
		"a review of a login": {
			review("login"),
			"apiVersion kind metadata spec status status.authenticated status.user status.user.extra status.user.extra.apptoken.dev/client " +
				"status.user.extra.apptoken.dev/kind status.user.extra.apptoken.dev/permissions status.user.extra.apptoken.dev/token-id " +
				"status.user.extra.apptoken.dev/user status.user.groups status.user.uid status.user.username",
		},
		"a review of what is not": {review("ended"), "apiVersion kind metadata spec status status.user"},
		"a refusal":               {h.Do(http.MethodGet, "/verify", nil, ""), "error error_description"},
	} {
		if got := strings.Join(servertest.JSONPaths("", x.writeJSON.JSON(t)), " "); got != x.keys {
			t.Errorf("%s: it has\n%s\nwant\n%s", name, got, x.keys)
		}
	}
}
