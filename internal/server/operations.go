package server

import (
	"net/http"
)

// Bodies of the login protocols, for the OpenAPI document. Handlers read them field by field, in
// each encoding: see login.go.
type (
	loginBody struct {
		Username  string `json:"username"`
		Password  string `json:"password" format:"password"`
		AccountID int64  `json:"account_id,omitempty" minimum:"1" doc:"The account_id of the client to log in at. Without it, the user's default account"`
	}
	authLoginBody struct {
		Username  string `json:"username"`
		Password  string `json:"password" format:"password"`
		AccountID int64  `json:"account_id,omitempty" minimum:"1" doc:"The account_id of the client to log in at. Without it, the user's default account"`
		AuthOnly  bool   `json:"auth_only,omitempty" doc:"Check the password, and issue no token"`
	}
	refreshBody struct {
		RefreshToken string `json:"refresh_token" format:"password"`
	}
	masqueradeBody struct {
		AccountID int64 `json:"account_id" minimum:"1" doc:"The account_id of the client to move to"`
	}
	grantBody struct {
		GrantType    string `json:"grant_type" enum:"password,refresh_token"`
		Username     string `json:"username,omitempty" doc:"For the grant password"`
		Password     string `json:"password,omitempty" format:"password" doc:"For the grant password"`
		RefreshToken string `json:"refresh_token,omitempty" format:"password" doc:"For the grant refresh_token"`
		AccountID    int64  `json:"account_id,omitempty" minimum:"1" doc:"For the grant password: the account_id of the client to log in at"`
		ClientID     string `json:"client_id,omitempty" doc:"The name of a client. If the user has an account there, the login is at that client"`
		ClientSecret string `json:"client_secret,omitempty" format:"password" doc:"An application token of that client. Not required"`
	}
	tokenBody struct {
		Token        string `json:"token" format:"password"`
		Hint         string `json:"token_type_hint,omitempty" doc:"Ignored"`
		ClientID     string `json:"client_id,omitempty" doc:"The client of the caller's own token, if client_secret has that token"`
		ClientSecret string `json:"client_secret,omitempty" format:"password" doc:"The caller's own token, if it is not in the header Authorization"`
	}
)

// Tags of operations, in the order of the document.
const (
	tagOAuth      = "OAuth 2.0"
	tagClient     = "Application tokens of a client"
	tagUser       = "Application tokens of a user"
	tagFunnelback = "Login: Funnelback"
	tagTele       = "Login: TeleTracker"
	tagSpectrum   = "Login: Spectrum"
	tagVerify     = "Verification"
)

// operations returns every operation of the HTTP endpoints.
func (d *Endpoints) operations() []operation {
	all := []operation{
		{"", pathVerify, d.forwardAuth, description{
			id: "verify", tag: tagVerify, summary: "Verify a token for a gateway",
			text:    "A gateway sends the headers of a request that it holds back. The response says whether the token in them is valid and meets all requirements in the query. Parameters of other names are ignored, so prefer the operation with requirements in the path. The method of the request does not matter.",
			query:   []param{{name: "permission", text: "A permission that the token must have"}, {name: "role", text: "A role that the token must have"}, {name: "client", text: "The client that the token must belong to"}},
			callers: callersWithToken, responseText: "The token is valid. The headers identify its owner.", sets: identityParams, errorStatuses: []int{400, 401, 403, 503},
		}},
		// This pattern is for the document: routes.verifyByPath serves any number of segments.
		{"", "/verify/{requirements}/-/{path}", d.forwardAuthByPath, description{
			id: "verifyByPath", tag: tagVerify, summary: "Verify a token, with requirements in the path",
			text: "For a gateway that appends the path of the request that it holds back. A segment before /-/ that is not a known requirement rejects every request.",
			path: []param{
				{name: "requirements", text: "Any number of segments, each permission=…, role=… or client=…"},
				{name: "path", text: "The path of the request, with any number of segments. It is ignored"},
			},
			callers: callersWithToken, responseText: "The token is valid. The headers identify its owner.", sets: identityParams, errorStatuses: []int{401, 403, 404, 503},
		}},
		{http.MethodPost, "/oauth2/introspect", d.introspect, description{
			id: "introspect", tag: tagOAuth, summary: "Introspect a token (RFC 7662)",
			text: "For a resource server, whose own token needs the permission sec.token.introspect. A token that is invalid, or belongs to another client, is not active. sec.escalate.introspect lifts the restriction to the caller's client.",
			body: tokenBody{Token: "ata_…"}, bodyEncodings: formOnly, callers: callersWithToken, response: exampleIntrospection, errorStatuses: []int{400, 401, 403, 429, 503},
		}},
		{http.MethodPost, "/oauth2/revoke", d.revoke, description{
			id: "revoke", tag: tagOAuth, summary: "Revoke a token (RFC 7009)",
			text: "A caller that presents a token may revoke it. With the permission sec.token.revoke it may revoke every token of its client. The response to an unknown token is the same.",
			body: tokenBody{Token: "ata_…"}, bodyEncodings: formOnly, callers: callersAny, response: struct{}{}, errorStatuses: []int{400, 401, 403, 429, 503},
		}},
		{http.MethodGet, "/.well-known/oauth-authorization-server", d.metadata, description{
			id: "metadata", tag: tagOAuth, summary: "Get the URLs of the OAuth endpoints (RFC 8414)",
			text:    "Libraries read the issuer, the endpoints and the grant types here.",
			callers: callersAny, response: exampleMetadata,
		}},
	}
	if d.Logins != nil {
		all = append(all, d.loginOperations()...)
	}
	if d.Management != nil {
		all = append(all, d.managementOperations()...)
	}
	document := openAPI(all)
	return append(all, operation{method: http.MethodGet, path: "/openapi.json", serve: func(w http.ResponseWriter, _ *http.Request) {
		header := w.Header()
		header["Content-Type"] = contentTypeJSON
		setBrowserHeaders(header)
		_, _ = w.Write(document) //nolint:errcheck // the caller is gone
	}})
}

func (d *Endpoints) loginOperations() []operation {
	minutes := []param{{name: "ttlInMinutes", text: "Minutes until the token expires; 0 sets no limit", isInteger: true}}
	all := []operation{
		{http.MethodPost, "/oauth2/token", d.oauthToken, description{
			id: "token", tag: tagOAuth, summary: "Log in, or refresh a login (RFC 6749)",
			text: "The grant password exchanges a user name and a password for a login token and a refresh token. The grant refresh_token exchanges the refresh token for a new pair.",
			body: grantBody{GrantType: grantPassword, Username: "alice@example.com", Password: "…"}, bodyEncodings: anyEncoding, callers: callersAny,
			response: oauthTokenResponse{AccessToken: "atl_…", TokenType: "Bearer", ExpiresIn: 3600, RefreshToken: "atr_…", Scope: "search.query"}, errorStatuses: []int{400, 401, 429, 503},
		}},
		{http.MethodPost, "/auth/login", d.authLogin, description{
			id: "authLogin", tag: tagTele, summary: "Log in, for a token and a refresh token",
			text: "With auth_only, the operator checks the password and issues no token.",
			body: authLoginBody{Username: "alice@example.com", Password: "…", AccountID: 1001}, bodyEncodings: anyEncoding, callers: callersAny, response: examplePair, alternative: successResponse{}, errorBody: failureResponse{}, errorStatuses: []int{400, 401, 403, 429, 503},
		}},
		{http.MethodPost, "/auth/refresh", d.authRefresh, description{
			id: "authRefresh", tag: tagTele, summary: "Exchange a refresh token for a new pair",
			text: "The previous pair ends. A retry with the same refresh token within half a minute gets another pair; a later one ends the session.",
			body: refreshBody{RefreshToken: "atr_…"}, bodyEncodings: anyEncoding, callers: callersAny, response: examplePair, errorBody: failureResponse{}, errorStatuses: []int{400, 401, 429, 503},
		}},
		{http.MethodPost, "/auth/masquerade", d.authMasquerade, description{
			id: "authMasquerade", tag: tagTele, summary: "Move a login to another account of the user",
			text: "The previous login ends. The new token expires no later than the previous one.",
			body: masqueradeBody{AccountID: 1002}, bodyEncodings: anyEncoding, callers: callersWithToken, response: examplePair, errorBody: failureResponse{}, errorStatuses: []int{400, 401, 403, 429, 503},
		}},
		{http.MethodPost, "/auth/logout", d.authLogout, description{
			id: "authLogout", tag: tagTele, summary: "End the login of the caller",
			text:    "The token and the refresh token of the login end. An application token is rejected: revoke it instead.",
			callers: callersWithToken, response: successResponse{true}, errorBody: failureResponse{}, errorStatuses: []int{401, 403, 503},
		}},
		{http.MethodGet, "/security/rest/token/access/session/{ttlInMinutes}", d.sessionToken, description{
			id: "sessionToken", tag: tagSpectrum, summary: "Get a session token",
			text: "The token is valid only with its session ID, in the cookie SESSION, and from the address of the caller.",
			path: minutes, callers: callersWithPassword, hasSideEffect: true, response: accessResponse{AccessToken: "ats_…", Session: "7f1d6f0e-2c7a-4f0e-8d0a-3a4f4c1c9b52", Username: "alice@example.com"}, errorStatuses: []int{400, 401, 403, 429, 503},
		}},
		{http.MethodGet, "/security/rest/token/access/{ttlInMinutes}", d.openToken, description{
			id: "openToken", tag: tagSpectrum, summary: "Get an open token",
			text: "The token is valid without a session ID and from every address. The client may forbid open tokens, or limit their lifetime.",
			path: minutes, callers: callersWithPassword, hasSideEffect: true, response: accessResponse{AccessToken: "ato_…", Username: "alice@example.com"}, errorStatuses: []int{400, 401, 403, 429, 503},
		}},
		{http.MethodGet, "/security/rest/token/logout", d.spectrumLogout, description{
			id: "spectrumLogout", tag: tagSpectrum, summary: "End the login of the caller",
			text:    "The token of the request ends. A request that a browser sends for a page of another site is rejected.",
			callers: callersWithToken, hasSideEffect: true, response: successResponse{true}, errorStatuses: []int{401, 403, 503},
		}},
		// It has no description: its document is WADL, not JSON.
		{method: http.MethodGet, path: "/security/rest", serve: d.spectrumWADL},
	}
	return append(all, withAdminPrefix(operation{http.MethodPost, "/account/v1/login", d.formLogin, description{
		id: "formLogin", tag: tagFunnelback, summary: "Log in, for a token in the header X-Security-Token",
		text: "The token is in the response header, not in the body. It ends at expiresAt, when it is revoked, and when the password changes.",
		body: loginBody{Username: "alice@example.com", Password: "…"}, bodyEncodings: anyEncoding, query: []param{{name: fieldRememberMe, text: "true for a longer lifetime"}},
		callers: callersAny, response: loginResponse{Username: "alice@example.com", Client: "acme", AccountID: 1001, ExpiresAt: "2026-03-15T12:00:00Z"}, tokenHeader: headerSecurityToken, errorStatuses: []int{400, 401, 403, 429, 503},
	}})...)
}

// managementOperations returns the operations on application tokens: of the calling user, and of a
// client.
func (d *Endpoints) managementOperations() []operation {
	key := []param{{name: "Idempotency-Key", text: "Any text of 1 to 255 bytes. For five minutes, the same request of the same caller with the same text is a retry"}}
	rotateCaller := operation{http.MethodPost, "/application-tokens/v1/rotate", d.rotateCallingToken, description{
		id: "rotateOwn", tag: tagClient, summary: "Rotate the calling token",
		text:    "For the holder of an application token, which needs no permission. The client may forbid it. A holder rotates a token at most once in its minOverlap, and the new version expires no later than the calling one.",
		headers: key, callers: callersWithToken, response: exampleMade, isDeferred: true, errorStatuses: []int{400, 401, 403, 404, 409, 413, 415, 429, 503},
	}}
	all := withAdminPrefix(rotateCaller)
	for _, of := range []struct {
		at, suffix, tag string
		path            []param
		lists           func(managementHandler) managementHandler // who may list, get and delete tokens
		wanted          createTokenBody                           // an example, as are the next two
		view            tokenView
		issuedKeys      issuedTokenResponse
	}{
		{"/application-tokens/v1/clients/{client}/application-token", "OfClient", tagClient, []param{{name: "client", text: "The name of the client"}}, requireTokensPermission, exampleWanted, exampleView, exampleMade},
		{"/application-tokens/v1/application-token", "OfUser", tagUser, nil, allowAnyCaller, exampleOfUserWanted, exampleOfUserView, exampleOfUserMade},
	} {
		one := of.at + "/{name}"
		named := append(append([]param{}, of.path...), param{name: "name", text: "The name of the token"})
		common := []int{400, 401, 403, 404, 503}
		all = append(all, withAdminPrefix(
			operation{http.MethodGet, of.at, d.authenticateManagement(of.lists(d.listTokens)), description{
				id: "list" + of.suffix, tag: of.tag, summary: "List application tokens",
				text: "The response has no token, only what describes it.",
				path: of.path, callers: callersWithEither, response: tokenListResponse{[]tokenView{of.view}}, errorStatuses: []int{400, 401, 403, 404, 503},
			}},
			operation{http.MethodPut, one, d.authenticateManagement(requireTokensPermission(d.putToken)), description{
				id: "create" + of.suffix, tag: of.tag, summary: "Create an application token",
				text: "The token is in the response and nowhere else. A token of a client has the roles and permissions in the body; a token of a user has those of the user, and the body must have none. A caller cannot give more than it holds.",
				path: named, body: of.wanted, bodyEncodings: anyEncoding, isBodyOptional: true, callers: callersWithEither, response: of.issuedKeys, errorStatuses: append([]int{409}, common...),
			}},
			operation{http.MethodGet, one, d.authenticateManagement(of.lists(d.getToken)), description{
				id: "get" + of.suffix, tag: of.tag, summary: "Get the description of an application token",
				text: "The response does not have the token itself, which cannot be shown again.",
				path: named, callers: callersWithEither, response: tokenResponse{of.view}, errorStatuses: []int{400, 401, 403, 404, 503},
			}},
			operation{http.MethodPatch, one, d.authenticateManagement(requireTokensPermission(d.patchToken)), description{
				id: "change" + of.suffix, tag: of.tag, summary: "Change, suspend or reactivate an application token",
				text: "The token itself stays the same. Absent members stay unchanged. A token that was suspended in Kubernetes can be reactivated only there.",
				path: named, body: exampleChange, bodyEncodings: anyEncoding, callers: callersWithEither, response: tokenResponse{of.view}, errorStatuses: common,
			}},
			operation{http.MethodDelete, one, d.authenticateManagement(of.lists(d.deleteToken)), description{
				id: "revoke" + of.suffix, tag: of.tag, summary: "Revoke an application token",
				text: "Every version of the token ends at once, for good.",
				path: named, callers: callersWithEither, response: struct{}{}, errorStatuses: []int{400, 401, 403, 404, 503},
			}},
			operation{http.MethodPost, one + "/clone", d.authenticateManagement(requireTokensPermission(d.cloneToken)), description{
				id: "clone" + of.suffix, tag: of.tag, summary: "Clone an application token",
				text: "The new token has the same grants and another name.",
				path: named, headers: key, body: cloneTokenBody{Name: "ci-deploy-2"}, bodyEncodings: anyEncoding, callers: callersWithEither, response: of.issuedKeys, errorStatuses: append([]int{409}, common...),
			}},
			operation{http.MethodPost, one + "/rotate", d.authenticateManagement(d.rotateToken), description{
				id: "rotate" + of.suffix, tag: of.tag, summary: "Rotate an application token",
				text: "The token gets a new version, and the previous one stays valid for the overlap. For a token that rotates itself, the rules of rotateOwn apply.",
				path: named, headers: key, callers: callersWithEither, response: of.issuedKeys, isDeferred: true, errorStatuses: append([]int{409, 413, 415}, common...),
			}},
		)...)
	}
	return all
}

// allowAnyCaller returns serve unchanged: an authenticated caller needs no permission.
func allowAnyCaller(serve managementHandler) managementHandler { return serve }

// withAdminPrefix returns operations at their paths and below /admin-api, which existing programs
// use. The document has the shorter paths alone.
func withAdminPrefix(ops ...operation) []operation {
	all := ops
	for _, op := range ops {
		all = append(all, operation{method: op.method, path: "/admin-api" + op.path, serve: op.serve})
	}
	return all
}
