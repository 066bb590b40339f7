package server

import (
	"net/http"
)

// Bodies of the login protocols, for the OpenAPI document. Handlers read them field by field, in
// each encoding: see logins.go.
type (
	loginBody struct {
		Username  string `json:"username"`
		Password  string `json:"password" format:"password"`
		AccountID int64  `json:"account_id,omitempty" minimum:"1" doc:"Of the client to log in at; without, the user's usual one"`
	}
	authLoginBody struct {
		Username  string `json:"username"`
		Password  string `json:"password" format:"password"`
		AccountID int64  `json:"account_id,omitempty" minimum:"1" doc:"Of the client to log in at; without, the user's usual one"`
		AuthOnly  bool   `json:"auth_only,omitempty" doc:"Check the password and give no token"`
	}
	refreshBody struct {
		RefreshToken string `json:"refresh_token" format:"password"`
	}
	masqueradeBody struct {
		AccountID int64 `json:"account_id" minimum:"1" doc:"Of the client to go on at"`
	}
	grantBody struct {
		GrantType    string `json:"grant_type" enum:"password,refresh_token"`
		Username     string `json:"username,omitempty" doc:"With the grant password"`
		Password     string `json:"password,omitempty" format:"password" doc:"With the grant password"`
		RefreshToken string `json:"refresh_token,omitempty" format:"password" doc:"With the grant refresh_token"`
		AccountID    int64  `json:"account_id,omitempty" minimum:"1" doc:"With the grant password, of the client to log in at"`
		ClientID     string `json:"client_id,omitempty" doc:"The name of a client at which the user has an account: the login is of that"`
		ClientSecret string `json:"client_secret,omitempty" format:"password" doc:"A token of that client, for programs that send one; none is needed"`
	}
	tokenBody struct {
		Token        string `json:"token" format:"password"`
		Hint         string `json:"token_type_hint,omitempty" doc:"Is not needed, and not looked at"`
		ClientID     string `json:"client_id,omitempty" doc:"The client of the caller's own token, if that is the secret"`
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
func (d *Doors) operations() []operation {
	all := []operation{
		{"", pathVerify, d.forwardAuth, description{
			id: "verify", tag: tagVerify, summary: "Ask whether a token is good, as a gateway does",
			query: []param{{name: "permission", text: "A permission that must be held"}, {name: "role", text: "A role that must be held"}, {name: "client", text: "The client that the token must be of"}},
			by:    byToken, says: "The token is good: headers X-Apptoken-… say whose it is.", fails: []int{400, 401, 403, 503},
		}},
		// This pattern is for the document: routes.verifyByPath serves any number of segments.
		{"", "/verify/{requirements}/-/{path}", d.forwardAuthByPath, description{
			id: "verifyByPath", tag: tagVerify, summary: "The same, with what is required in the path, for a gateway that appends the path of the request",
			path: []param{
				{name: "requirements", text: "As many segments as needed, each permission=…, role=… or client=…; none is fine"},
				{name: "path", text: "The path of the request, of as many segments as it has; it is not read"},
			},
			by: byToken, says: "The token is good: headers X-Apptoken-… say whose it is.", fails: []int{401, 403, 404, 503},
		}},
		{http.MethodPost, "/oauth2/introspect", d.introspect, description{
			id: "introspect", tag: tagOAuth, summary: "Ask what a token is good for (RFC 7662)",
			body: tokenBody{}, in: formAlone, by: byToken, answer: introspection{}, fails: []int{400, 401, 403, 429, 503},
		}},
		{http.MethodPost, "/oauth2/revoke", d.revoke, description{
			id: "revoke", tag: tagOAuth, summary: "End a token (RFC 7009)",
			body: tokenBody{}, in: formAlone, by: byAnybody, answer: struct{}{}, fails: []int{400, 401, 403, 429, 503},
		}},
		{http.MethodGet, "/.well-known/oauth-authorization-server", d.metadata, description{
			id: "metadata", tag: tagOAuth, summary: "Where these are (RFC 8414)", by: byAnybody, answer: serverMetadata{},
		}},
	}
	if d.Logins != nil {
		all = append(all, d.loginOperations()...)
	}
	if d.Desk != nil {
		all = append(all, d.deskOperations()...)
	}
	document := openAPI(all)
	return append(all, operation{method: http.MethodGet, path: "/openapi.json", serve: func(w http.ResponseWriter, _ *http.Request) {
		header := w.Header()
		header["Content-Type"] = isJSON
		restrain(header)
		_, _ = w.Write(document) //nolint:errcheck // the caller is gone
	}})
}

func (d *Doors) loginOperations() []operation {
	minutes := []param{{name: "ttlInMinutes", text: "Minutes until the token ends; 0 is no limit", number: true}}
	all := []operation{
		{http.MethodPost, "/oauth2/token", d.oauthToken, description{
			id: "token", tag: tagOAuth, summary: "Log in, or refresh a login (RFC 6749)",
			body: grantBody{}, in: anyEncoding, by: byAnybody, answer: tokenAnswer{}, fails: []int{400, 401, 429, 503},
		}},
		{http.MethodPost, "/auth/login", d.authLogin, description{
			id: "authLogin", tag: tagTele, summary: "Log in, for a token and a refresh token",
			body: authLoginBody{}, in: anyEncoding, by: byAnybody, answer: pair{}, or: success{}, fault: failure{}, fails: []int{400, 401, 403, 429, 503},
		}},
		{http.MethodPost, "/auth/refresh", d.authRefresh, description{
			id: "authRefresh", tag: tagTele, summary: "Exchange a refresh token for a new pair",
			body: refreshBody{}, in: anyEncoding, by: byAnybody, answer: pair{}, fault: failure{}, fails: []int{400, 401, 429, 503},
		}},
		{http.MethodPost, "/auth/masquerade", d.authMasquerade, description{
			id: "authMasquerade", tag: tagTele, summary: "Go on at another account of the same user",
			body: masqueradeBody{}, in: anyEncoding, by: byToken, answer: pair{}, fault: failure{}, fails: []int{400, 401, 403, 429, 503},
		}},
		{http.MethodPost, "/auth/logout", d.authLogout, description{
			id: "authLogout", tag: tagTele, summary: "End the login that calls", by: byToken, answer: success{}, fault: failure{}, fails: []int{401, 403, 503},
		}},
		{http.MethodGet, "/security/rest/token/access/session/{ttlInMinutes}", d.sessionToken, description{
			id: "sessionToken", tag: tagSpectrum, summary: "Get a session token, which is good with its session id and from here alone",
			path: minutes, by: byName, acts: true, answer: access{}, fails: []int{400, 401, 403, 429, 503},
		}},
		{http.MethodGet, "/security/rest/token/access/{ttlInMinutes}", d.openToken, description{
			id: "openToken", tag: tagSpectrum, summary: "Get an open token, which is tied to neither",
			path: minutes, by: byName, acts: true, answer: access{}, fails: []int{400, 401, 403, 429, 503},
		}},
		{http.MethodGet, "/security/rest/token/logout", d.spectrumLogout, description{
			id: "spectrumLogout", tag: tagSpectrum, summary: "End the login that calls", by: byToken, acts: true, answer: success{}, fails: []int{401, 403, 503},
		}},
		// It has no description: its document is WADL, not JSON.
		{method: http.MethodGet, path: "/security/rest", serve: d.spectrumRoot},
	}
	return append(all, bothPrefixes(operation{http.MethodPost, "/account/v1/login", d.formLogin, description{
		id: "formLogin", tag: tagFunnelback, summary: "Log in, for a token in the header X-Security-Token",
		body: loginBody{}, in: anyEncoding, query: []param{{name: fieldRememberMe, text: "true for a longer lifetime"}},
		by: byAnybody, answer: loggedIn{}, header: headerSecurityToken, fails: []int{400, 401, 403, 429, 503},
	}})...)
}

// deskOperations returns the operations on application tokens: of the calling user, and of a
// client.
func (d *Doors) deskOperations() []operation {
	key := []param{{name: "Idempotency-Key", text: "A text of your choice: the same request of the same caller with the same text is a retry, for five minutes"}}
	rotateCaller := operation{http.MethodPost, "/application-tokens/v1/rotate", d.rotateCaller, description{
		id: "rotateOwn", tag: tagClient, summary: "Rotate the token that calls, at most once in its minOverlap and where the client lets holders; its end stays",
		headers: key, by: byToken, answer: tokenMade{}, later: true, fails: []int{400, 401, 403, 404, 409, 413, 415, 429, 503},
	}}
	all := bothPrefixes(rotateCaller)
	for _, of := range []struct {
		at, suffix, tag string
		path            []param
		lists           func(manager) manager // who may list, get and delete tokens
	}{
		{"/application-tokens/v1/clients/{client}/application-token", "OfClient", tagClient, []param{{name: "client", text: "The name of the client"}}, permitted},
		{"/application-tokens/v1/application-token", "OfUser", tagUser, nil, anybody},
	} {
		one := of.at + "/{name}"
		named := append(append([]param{}, of.path...), param{name: "name", text: "The name of the token"})
		common := []int{400, 401, 403, 404, 503}
		all = append(all, bothPrefixes(
			operation{http.MethodGet, of.at, d.manage(of.lists(d.listTokens)), description{
				id: "list" + of.suffix, tag: of.tag, summary: "List them", path: of.path, by: byPrincipal, answer: manyTokens{}, fails: []int{400, 401, 403, 404, 503},
			}},
			operation{http.MethodPut, one, d.manage(permitted(d.putToken)), description{
				id: "create" + of.suffix, tag: of.tag, summary: "Make one; its text is in the answer and nowhere else",
				path: named, body: tokenWanted{}, in: anyEncoding, optional: true, by: byPrincipal, answer: tokenMade{}, fails: append([]int{409}, common...),
			}},
			operation{http.MethodGet, one, d.manage(of.lists(d.getToken)), description{
				id: "get" + of.suffix, tag: of.tag, summary: "Describe one", path: named, by: byPrincipal, answer: oneToken{}, fails: []int{400, 401, 403, 404, 503},
			}},
			operation{http.MethodPatch, one, d.manage(permitted(d.patchToken)), description{
				id: "change" + of.suffix, tag: of.tag, summary: "Change what one may do, or suspend it; its text stays",
				path: named, body: tokenChange{}, in: anyEncoding, by: byPrincipal, answer: oneToken{}, fails: common,
			}},
			operation{http.MethodDelete, one, d.manage(of.lists(d.deleteToken)), description{
				id: "revoke" + of.suffix, tag: of.tag, summary: "Revoke one", path: named, by: byPrincipal, answer: struct{}{}, fails: []int{400, 401, 403, 404, 503},
			}},
			operation{http.MethodPost, one + "/clone", d.manage(permitted(d.cloneToken)), description{
				id: "clone" + of.suffix, tag: of.tag, summary: "Make another one that may do the same",
				path: named, headers: key, body: cloneWanted{}, in: anyEncoding, by: byPrincipal, answer: tokenMade{}, fails: append([]int{409}, common...),
			}},
			operation{http.MethodPost, one + "/rotate", d.manage(d.rotateToken), description{
				id: "rotate" + of.suffix, tag: of.tag, summary: "Replace its text; the one before stays valid for the overlap. A token that calls for itself: see rotateOwn",
				path: named, headers: key, by: byPrincipal, answer: tokenMade{}, later: true, fails: append([]int{409, 413, 415}, common...),
			}},
		)...)
	}
	return all
}

// anybody returns serve unchanged: an authenticated caller needs no permission.
func anybody(serve manager) manager { return serve }

// bothPrefixes returns operations at their paths and below /admin-api, which existing programs use.
// The document has the shorter paths alone.
func bothPrefixes(ops ...operation) []operation {
	all := ops
	for _, op := range ops {
		all = append(all, operation{method: op.method, path: "/admin-api" + op.path, serve: op.serve})
	}
	return all
}
