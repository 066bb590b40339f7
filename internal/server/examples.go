package server

// Examples of bodies and headers in the OpenAPI document. They hold no credential: tokens and
// passwords are shortened to an ellipsis.

var exampleView = tokenView{
	Name: "ci-deploy", Namespace: "apptoken-system", Object: "ci-deploy-1b1d8a0a5e4b4a0c9c6b", Client: "acme",
	ID: "at-1b1d8a0a5e4b4a0c9c6b7f7a2f0f1e11", Hint: "…A2A5", State: "Active", Ready: true, Reason: "Delivered",
	Roles: []string{"primary"}, Permissions: []string{"search.query"}, SourceRanges: []string{},
	Lifetime: "720h", IssuedAt: "2026-03-01T12:00:00Z", ExpiresAt: "2026-03-31T12:00:00Z",
	LastUsedAt: "2026-03-02T08:30:00Z", LastUsedFrom: "10.1.2.3",
}

var examplePair = tokenPair{
	Success: true, GUID: "0b6bcb4c-7b5e-4b7b-9a53-0f6c2f6ad0d5", Token: "atl_…",
	TokenExpiration: "2026-03-01T13:00:00+00:00", TokenLifetime: 3600,
	RefreshToken: "atr_…", RefreshTokenExpiration: "2026-03-15T12:00:00+00:00",
}

var exampleMetadata = serverMetadata{
	Issuer:            "https://tokens.example.com",
	Token:             "https://tokens.example.com/oauth2/token",
	TokenAuth:         []string{"none", "client_secret_basic", "client_secret_post"},
	ResponseTypes:     []string{},
	GrantTypes:        []string{grantPassword, grantRefresh},
	Introspection:     "https://tokens.example.com/oauth2/introspect",
	IntrospectionAuth: []string{"Bearer", "client_secret_basic", "client_secret_post"},
	Revocation:        "https://tokens.example.com/oauth2/revoke",
	RevocationAuth:    []string{"none", "client_secret_basic", "client_secret_post"},
}

var exampleIntrospection = introspection{
	Active: true, Scope: "search.query", ClientID: "acme", TokenType: "Bearer",
	Expires: 1774958400, IssuedAt: 1772366400, Subject: "shop/indexer", ID: "at-1b1d8a0a5e4b4a0c9c6b7f7a2f0f1e11",
	Kind: "Application", AccountID: 1001, Roles: []string{"primary"}, Permissions: []string{"search.query"},
}

var exampleOfUserView = tokenView{
	Name: "laptop", Namespace: "apptoken-system", Object: "laptop-9c6b7f7a2f0f1e111b1d", Client: "acme", User: "alice",
	ID: "at-9c6b7f7a2f0f1e111b1d8a0a5e4b4a0c", Hint: "…x7Qd", State: "Active", Ready: true, Reason: "Delivered",
	Roles: []string{}, Permissions: []string{}, SourceRanges: []string{},
	Lifetime: "720h", IssuedAt: "2026-03-01T12:00:00Z", ExpiresAt: "2026-03-31T12:00:00Z",
}

var (
	exampleOfUserMade   = issuedTokenResponse{Data: "atu_…", Token: exampleOfUserView}
	exampleOfUserWanted = createTokenBody{Lifetime: new("720h")}

	exampleMade   = issuedTokenResponse{Data: "ata_…", Token: exampleView}
	exampleWanted = createTokenBody{Roles: []string{"primary"}, Permissions: []string{"search.query"}, Lifetime: new("720h")}
	exampleChange = changeTokenBody{State: new("Suspended")}
)

// identityParams describes the headers of a response to a gateway.
var identityParams = []param{
	{name: headerSubject, text: "The namespace and name of the ApplicationToken, or the name of the User of a login", example: "shop/indexer"},
	{name: headerClient, text: "The client of the token", example: "acme"},
	{name: headerUser, text: "The User that the token acts for; empty if it acts for a client", example: ""},
	{name: headerRoles, text: "The roles, separated by commas", example: "primary"},
	{name: headerPermissions, text: "The permissions, separated by commas", example: "search.*,sec.continuous.rest"},
	{name: headerTokenID, text: "The name of the TokenRecord", example: "at-1b1d8a0a5e4b4a0c9c6b7f7a2f0f1e11"},
	{name: headerKind, text: "The kind of the token", example: "Application"},
}
