package oauth_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/testing/servertest"
)

func TestMetadata_NamesEndpoints(t *testing.T) {
	h := servertest.NewVectorServer(t)
	got := h.Do(http.MethodGet, "/.well-known/oauth-authorization-server", nil, "")
	said := got.JSON(t)
	for name, want := range map[string]string{
		"issuer": h.URL, "introspection_endpoint": h.URL + "/oauth2/introspect", "revocation_endpoint": h.URL + "/oauth2/revoke",
	} {
		if said[name] != want {
			t.Errorf("%s is %v, want %s", name, said[name], want)
		}
	}
	h.Issuer = "https://tokens.example.com"
	if said := h.Do(http.MethodGet, "/.well-known/oauth-authorization-server", nil, "").JSON(t); said["issuer"] != h.Issuer {
		t.Errorf("issuer is %v", said["issuer"])
	}
}

func TestMetadata_NamesTokenEndpoint(t *testing.T) {
	h := servertest.NewLoginServer(t)
	got := h.Call(http.MethodGet, "/.well-known/oauth-authorization-server")
	said := h.Members(got)
	if said["token_endpoint"] != h.URL+"/oauth2/token" {
		t.Errorf("%s", got.Body)
	}
	const keys = "grant_types_supported introspection_endpoint introspection_endpoint_auth_methods_supported issuer response_types_supported " +
		"revocation_endpoint revocation_endpoint_auth_methods_supported token_endpoint token_endpoint_auth_methods_supported"
	if h.Keys(got) != keys { // [row 8]
		t.Errorf("%s", h.Keys(got))
	}
	for key, want := range map[string]string{
		"grant_types_supported": "password refresh_token client_credentials", "token_endpoint_auth_methods_supported": "none client_secret_basic client_secret_post",
	} {
		var list []string
		for _, v := range said[key].([]any) {
			list = append(list, v.(string))
		}
		if strings.Join(list, " ") != want {
			t.Errorf("%s: %q", key, list)
		}
	}
}
