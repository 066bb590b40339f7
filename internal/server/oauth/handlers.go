package oauth

import (
	"net/http"

	"github.com/apptoken/operator/internal/server/endpoint"
	"github.com/apptoken/operator/internal/server/loginapi"
)

// Handlers serves OAuth 2.0: tokens, introspection, revocation and metadata.
type Handlers struct {
	*loginapi.Logins
	Records RecordStore
}

// Operations returns the operations of OAuth 2.0.
func (h *Handlers) Operations() []endpoint.Operation {
	all := []endpoint.Operation{
		{Method: http.MethodPost, Path: "/oauth2/introspect", Serve: h.introspect, Doc: endpoint.Description{
			Id: "introspect", Tag: endpoint.TagOAuth, Summary: "Introspect a token (RFC 7662)",
			Text: "For a resource server, whose own token needs the permission sec.token.introspect. A token that is invalid, or belongs to another client, is not active. sec.escalate.introspect lifts the restriction to the caller's client.",
			Body: tokenBody{Token: "ata_…"}, BodyEncodings: endpoint.FormOnly, Callers: endpoint.CallersWithToken, Response: exampleIntrospection, ErrorStatuses: []int{400, 401, 403, 429, 503},
		}},
		{Method: http.MethodPost, Path: "/oauth2/revoke", Serve: h.revoke, Doc: endpoint.Description{
			Id: "revoke", Tag: endpoint.TagOAuth, Summary: "Revoke a token (RFC 7009)",
			Text: "A caller that presents a token may revoke it. With the permission sec.token.revoke it may revoke every token of its client. The response to an unknown token is the same.",
			Body: tokenBody{Token: "ata_…"}, BodyEncodings: endpoint.FormOnly, Callers: endpoint.CallersAny, Response: struct{}{}, ErrorStatuses: []int{400, 401, 403, 429, 503},
		}},
		{Method: http.MethodGet, Path: "/.well-known/oauth-authorization-server", Serve: h.metadata, IsPublic: true, Doc: endpoint.Description{
			Id: "metadata", Tag: endpoint.TagOAuth, Summary: "Get the URLs of the OAuth endpoints (RFC 8414)",
			Text:    "Libraries read the issuer, the endpoints and the grant types here.",
			Callers: endpoint.CallersAny, Response: exampleMetadata,
		}},
	}
	if h.Service == nil {
		return all
	}
	return append(all, endpoint.Operation{Method: http.MethodPost, Path: "/oauth2/token", Serve: h.oauthToken, Doc: endpoint.Description{
		Id: "token", Tag: endpoint.TagOAuth, Summary: "Log in, or refresh a login (RFC 6749)",
		Text: "The grant password exchanges a user name and a password for a login token and a refresh token. The grant refresh_token exchanges the refresh token for a new pair.",
		Body: grantBody{GrantType: grantPassword, Username: "alice@example.com", Password: "…"}, BodyEncodings: endpoint.AnyEncoding, Callers: endpoint.CallersAny,
		Response: oauthTokenResponse{AccessToken: "atl_…", TokenType: "Bearer", ExpiresIn: 3600, RefreshToken: "atr_…", Scope: "search.query"}, ErrorStatuses: []int{400, 401, 429, 503},
	}})
}
