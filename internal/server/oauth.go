package server

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/apptoken/operator/internal/verify"
)

// Permissions that introspection and revocation require of their callers.
const (
	permissionIntrospect = "sec.token.introspect"
	permissionRevoke     = "sec.token.revoke"

	// permissionIntrospectAll lets a resource server introspect tokens of clients other than its
	// own. "sec.token.*" does not cover it.
	permissionIntrospectAll = "sec.escalate.introspect"
)

// maxForm is the maximum size of a form in bytes: a token, a hint, a client's name and secret. It
// is as large as a CheckRequest. So a resource server can introspect even the overlong tokens that
// ext_authz receives, and learns that they are not active.
const maxForm = maxCheckRequest

// form parses the parameters of a request by RFC 6749: in the body alone, and each at most once.
func form(w http.ResponseWriter, r *http.Request) (url.Values, bool) {
	if kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); !strings.EqualFold(strings.TrimSpace(kind), "application/x-www-form-urlencoded") {
		writeError(w, http.StatusUnsupportedMediaType, "invalid_request", "send application/x-www-form-urlencoded")
		return nil, false
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		writeError(w, unreadable(err), "invalid_request", "the form cannot be read")
		return nil, false
	}
	for _, name := range []string{"token", "token_type_hint", fieldClientID, fieldClientSecret} {
		if len(r.PostForm[name]) > 1 {
			writeJSON(w, http.StatusBadRequest, fault{Error: "invalid_request", Description: name + " is there twice", Field: name})
			return nil, false
		}
	}
	for _, values := range r.PostForm {
		if len(values) > 1 {
			writeError(w, http.StatusBadRequest, "invalid_request", "a parameter is there twice")
			return nil, false
		}
	}
	if r.PostForm.Get("token") == "" {
		writeJSON(w, http.StatusBadRequest, fault{Error: "invalid_request", Description: "token is required", Field: "token"})
		return nil, false
	}
	return r.PostForm, true
}

// oauthCaller is the caller of an endpoint, with the credential of its own that it presents.
type oauthCaller struct {
	presented
	client  string // client name, if the credential is the secret of an OAuth client
	hasName bool
	isBasic bool
}

// oauthCallerOf returns the caller's own credential: a bearer token, or a token as the secret of an
// OAuth client (RFC 6749, section 2.3.1).
func oauthCallerOf(r *http.Request, f url.Values) oauthCaller {
	c := oauthCaller{presented: presentedInHeaders(r.Header)}
	if name, secret, basic := r.BasicAuth(); basic {
		name, err1 := url.QueryUnescape(name)
		secret, err2 := url.QueryUnescape(secret)
		if c.text != "" || err1 != nil || err2 != nil {
			return oauthCaller{presented: presented{isAmbiguous: true}, isBasic: true}
		}
		c.text, c.client, c.hasName, c.isBasic = secret, name, true, true
	}
	if secret := f.Get("client_secret"); secret != "" {
		if c.text != "" {
			return oauthCaller{presented: presented{isAmbiguous: true}, isBasic: c.isBasic}
		}
		c.text, c.client, c.hasName = secret, f.Get("client_id"), true
	}
	return c
}

// facts returns the facts to verify the caller's credential by. A client name that goes with it
// must be the name of its client.
func (c oauthCaller) facts() verify.Facts {
	if !c.hasName {
		return verify.Facts{}
	}
	return verify.Facts{Clients: []string{c.client}}
}

// writeUnauthenticated writes a 401 with the challenge of the scheme that the caller used.
func (c oauthCaller) writeUnauthenticated(w http.ResponseWriter) {
	switch {
	case c.isBasic:
		w.Header()["Www-Authenticate"] = basic
	case c.text == "" && !c.isAmbiguous:
		w.Header()["Www-Authenticate"] = bearerChallenge
	default:
		w.Header()["Www-Authenticate"] = invalidTokenChallenge
	}
	writeError(w, http.StatusUnauthorized, "invalid_client", "the caller's own token is not accepted")
}

// OAuth serves OAuth 2.0: tokens, introspection, revocation and metadata.
type OAuth struct {
	*Logins
	Records recordStore
}

// authenticateCaller returns the identity of a caller that holds the permission. If ok is false, it
// has written the response.
func (h *OAuth) authenticateCaller(w http.ResponseWriter, r *http.Request, c oauthCaller, at endpoint, permission string) (verify.Identity, bool) {
	facts := c.facts()
	facts.Permissions = []string{permission}
	text := c.text
	if c.isAmbiguous {
		text = ""
	}
	who, verdict := h.verifyCredential(r.Context(), at, text, facts, h.origin(r))
	switch {
	case verdict == verify.Valid:
		return who, true
	case verdict.IsUndecided():
		writeUnavailable(w)
	case verdict == verify.PermissionMissing:
		w.Header()["Www-Authenticate"] = insufficientScopeChallenge
		writeError(w, http.StatusForbidden, "insufficient_scope", "the caller's own token does not hold "+permission)
	default:
		c.writeUnauthenticated(w)
	}
	return verify.Identity{}, false
}

// introspection is the response of RFC 7662, section 2.2. For a token that is not valid, only
// active is set.
type introspection struct {
	Active      bool     `json:"active"`
	Scope       string   `json:"scope,omitempty"` // permissions, separated by spaces
	ClientID    string   `json:"client_id,omitempty"`
	Username    string   `json:"username,omitempty"`
	TokenType   string   `json:"token_type,omitempty"`
	Expires     int64    `json:"exp,omitempty"`
	IssuedAt    int64    `json:"iat,omitempty"`
	Subject     string   `json:"sub,omitempty"`
	ID          string   `json:"jti,omitempty"`
	Kind        string   `json:"apptoken_kind,omitempty"`
	AccountID   int64    `json:"apptoken_account_id,omitempty"`
	Roles       []string `json:"apptoken_roles,omitempty"`
	Permissions []string `json:"apptoken_permissions,omitempty"`
}

// introspect serves token introspection for resource servers (RFC 7662).
func (h *OAuth) introspect(w http.ResponseWriter, r *http.Request) {
	f, ok := form(w, r)
	if !ok {
		return
	}
	by, ok := h.authenticateCaller(w, r, oauthCallerOf(r, f), endpointIntrospect, permissionIntrospect)
	if !ok {
		return
	}
	asks := principal{Identity: by}
	// A token of another client fails this requirement. So it is not active, and its use is not
	// recorded.
	facts := verify.Facts{Clients: []string{by.Client.Name}}
	if asks.holds(permissionIntrospectAll) {
		facts.Clients = nil
	}
	if !h.Verifier.IsKnown(f.Get("token")) { // the verifier reads it from the API server
		end, err := h.acquireBudget(asks)
		if err != nil {
			writeBudgetExceeded(w, err)
			return
		}
		defer end()
	}
	// A resource server sends neither the address from which a token was presented nor its session
	// ID. So a token with source ranges is outside of them, and a session token is without its
	// session.
	who, verdict := h.verifyCredential(r.Context(), endpointIntrospect, f.Get("token"), facts, h.origin(r).withoutSource())
	switch {
	case verdict == verify.Valid:
		writeJSON(w, http.StatusOK, introspectionOf(who))
	case verdict.IsUndecided():
		writeUnavailable(w)
	default:
		writeJSON(w, http.StatusOK, introspection{})
	}
}

func introspectionOf(who verify.Identity) introspection {
	in := introspection{
		Active: true, Scope: strings.Join(who.Permissions, " "), ClientID: who.Client.Name, TokenType: "Bearer",
		IssuedAt: who.IssuedAt.Unix(), Subject: who.Subject, ID: who.ID.String(), Kind: who.Kind.String(),
		AccountID: who.Client.AccountID, Roles: who.Roles, Permissions: who.Permissions,
	}
	if who.User != nil {
		in.Username = who.User.Username
	}
	if !who.ExpiresAt.IsZero() {
		in.Expires = who.ExpiresAt.Unix()
	}
	return in
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
func (h *OAuth) metadata(w http.ResponseWriter, r *http.Request) {
	issuer, ok := h.issuer(w, r)
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
		m.Token, m.GrantTypes = issuer+"/oauth2/token", []string{grantPassword, grantRefresh}
		m.TokenAuth = []string{"none", "client_secret_basic", "client_secret_post"}
	}
	writeJSON(w, http.StatusOK, m)
}

// operations returns the operations of OAuth 2.0.
func (h *OAuth) operations() []operation {
	all := []operation{
		{http.MethodPost, "/oauth2/introspect", h.introspect, description{
			id: "introspect", tag: tagOAuth, summary: "Introspect a token (RFC 7662)",
			text: "For a resource server, whose own token needs the permission sec.token.introspect. A token that is invalid, or belongs to another client, is not active. sec.escalate.introspect lifts the restriction to the caller's client.",
			body: tokenBody{Token: "ata_…"}, bodyEncodings: formOnly, callers: callersWithToken, response: exampleIntrospection, errorStatuses: []int{400, 401, 403, 429, 503},
		}},
		{http.MethodPost, "/oauth2/revoke", h.revoke, description{
			id: "revoke", tag: tagOAuth, summary: "Revoke a token (RFC 7009)",
			text: "A caller that presents a token may revoke it. With the permission sec.token.revoke it may revoke every token of its client. The response to an unknown token is the same.",
			body: tokenBody{Token: "ata_…"}, bodyEncodings: formOnly, callers: callersAny, response: struct{}{}, errorStatuses: []int{400, 401, 403, 429, 503},
		}},
		{http.MethodGet, "/.well-known/oauth-authorization-server", h.metadata, description{
			id: "metadata", tag: tagOAuth, summary: "Get the URLs of the OAuth endpoints (RFC 8414)",
			text:    "Libraries read the issuer, the endpoints and the grant types here.",
			callers: callersAny, response: exampleMetadata,
		}},
	}
	if h.Service == nil {
		return all
	}
	return append(all, operation{http.MethodPost, "/oauth2/token", h.oauthToken, description{
		id: "token", tag: tagOAuth, summary: "Log in, or refresh a login (RFC 6749)",
		text: "The grant password exchanges a user name and a password for a login token and a refresh token. The grant refresh_token exchanges the refresh token for a new pair.",
		body: grantBody{GrantType: grantPassword, Username: "alice@example.com", Password: "…"}, bodyEncodings: anyEncoding, callers: callersAny,
		response: oauthTokenResponse{AccessToken: "atl_…", TokenType: "Bearer", ExpiresIn: 3600, RefreshToken: "atr_…", Scope: "search.query"}, errorStatuses: []int{400, 401, 429, 503},
	}})
}
