package oauth

import (
	"net/http"

	"github.com/apptoken/operator/internal/server/endpoint"
)

// pathMetadata is the path of the metadata of an issuer without a path.
const pathMetadata = "/.well-known/oauth-authorization-server"

var exampleMetadata = serverMetadata{
	Issuer:            "https://tokens.example.com",
	Token:             "https://tokens.example.com/oauth2/token",
	TokenAuth:         []string{"none", "client_secret_basic", "client_secret_post"},
	ResponseTypes:     []string{},
	GrantTypes:        []string{grantPassword, grantRefresh, grantClient},
	Introspection:     "https://tokens.example.com/oauth2/introspect",
	IntrospectionAuth: []string{"Bearer", "client_secret_basic", "client_secret_post"},
	Revocation:        "https://tokens.example.com/oauth2/revoke",
	RevocationAuth:    []string{"none", "client_secret_basic", "client_secret_post"},
}

// serverMetadata is the document of RFC 8414, section 2.
type serverMetadata struct {
	Issuer            string   `json:"issuer"`
	Token             string   `json:"token_endpoint,omitempty"`
	TokenAuth         []string `json:"token_endpoint_auth_methods_supported,omitempty"`
	ResponseTypes     []string `json:"response_types_supported"`
	GrantTypes        []string `json:"grant_types_supported"`
	Introspection     string   `json:"introspection_endpoint"`
	IntrospectionAuth []string `json:"introspection_endpoint_auth_methods_supported"`
	Revocation        string   `json:"revocation_endpoint"`
	RevocationAuth    []string `json:"revocation_endpoint_auth_methods_supported"`
}

// metadata serves the URLs of the OAuth endpoints (RFC 8414).
func (h *Handlers) metadata(w http.ResponseWriter, r *http.Request) {
	issuer, ok := h.IssuerURL(w, r)
	if !ok {
		return
	}
	m := serverMetadata{
		Issuer: issuer, ResponseTypes: []string{}, GrantTypes: []string{},
		Introspection:     issuer + "/oauth2/introspect",
		IntrospectionAuth: []string{"Bearer", "client_secret_basic", "client_secret_post"},
		Revocation:        issuer + "/oauth2/revoke",
		RevocationAuth:    []string{"none", "client_secret_basic", "client_secret_post"},
	}
	if h.Service != nil {
		m.Token, m.GrantTypes = issuer+"/oauth2/token", []string{grantPassword, grantRefresh, grantClient}
		m.TokenAuth = []string{"none", "client_secret_basic", "client_secret_post"}
	}
	endpoint.WriteJSON(w, http.StatusOK, m)
}
