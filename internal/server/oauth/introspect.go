package oauth

import (
	"errors"
	"net/http"
	"strings"

	"github.com/apptoken/operator/internal/server/decode"
	"github.com/apptoken/operator/internal/server/endpoint"
	"github.com/apptoken/operator/internal/server/loginapi"
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

// maxForm is the maximum size of a body in bytes: a token, a hint, a client's name and secret. It
// is as large as a CheckRequest. So a resource server can introspect even the overlong tokens that
// ext_authz receives, and learns that they are not active.
const maxForm = endpoint.MaxCheckRequest

// Fields of introspection and revocation, beside those of the caller.
const (
	fieldToken = "token"
	fieldHint  = "token_type_hint"
)

// tokenRequest is a request about a token.
type tokenRequest struct {
	token  string
	caller oauthCaller
}

// readTokenRequest reads the parameters of a request about a token by RFC 6749: in the body alone,
// and each at most once. If ok is false, it has written the response.
func readTokenRequest(w http.ResponseWriter, r *http.Request) (req tokenRequest, ok bool) {
	req, err := parseTokenRequest(w, r)
	if field, isField := errors.AsType[*decode.Error](err); isField {
		endpoint.WriteJSON(w, field.Status, endpoint.Fault{Error: "invalid_request", Description: field.Error(), Field: field.Field})
	}
	return req, err == nil
}

func parseTokenRequest(w http.ResponseWriter, r *http.Request) (tokenRequest, error) {
	names := []string{fieldToken, fieldHint, loginapi.FieldClientID, loginapi.FieldClientSecret}
	addressed, err := decode.Read(w, r, 0, decode.Query, names...)
	if err != nil {
		return tokenRequest{}, err
	}
	for _, name := range names {
		if _, there, _ := addressed.Text(name); there { //nolint:errcheck // a query field is always text
			return tokenRequest{}, &decode.Error{Status: http.StatusBadRequest, Field: name, Message: "must be in the body, and not in the address"}
		}
	}
	f, err := decode.ReadOpaque(w, r, maxForm, []string{fieldToken, loginapi.FieldClientSecret}, fieldHint, loginapi.FieldClientID)
	if err != nil {
		return tokenRequest{}, err
	}
	text, err := f.Required(fieldToken)
	if err != nil {
		return tokenRequest{}, err
	}
	caller, err := oauthCallerOf(r, f)
	return tokenRequest{text, caller}, err
}

// oauthCaller is the caller of an endpoint, with the credential of its own that it presents.
type oauthCaller struct {
	endpoint.Credentials
	client  string // client name, if the credential is the secret of an OAuth client
	hasName bool
	isBasic bool
}

// oauthCallerOf returns the caller's own credential: a bearer token, or a token as the secret of an
// OAuth client (RFC 6749, section 2.3.1). A public client sends no secret, or an empty one: it
// presents no credential, whatever its name.
func oauthCallerOf(r *http.Request, f decode.Fields) (oauthCaller, error) {
	name, secret, err := clientInFields(f)
	if err != nil {
		return oauthCaller{}, err
	}
	c := oauthCaller{Credentials: endpoint.CredentialsInHeaders(r.Header)}
	if user, pass, readable := basicClient(r); readable {
		c.isBasic = true
		if pass != "" {
			c.present(pass, user)
		}
	} else if _, c.isBasic, _ = endpoint.PasswordInHeader(r); c.isBasic {
		c.Credentials = endpoint.Credentials{IsAmbiguous: true}
	}
	if secret != "" {
		c.present(secret, name)
	}
	return c, nil
}

// present adds the secret of a client. Beside another credential it makes the caller ambiguous.
func (c *oauthCaller) present(secret, client string) {
	if c.Text != "" || c.IsAmbiguous {
		c.Credentials = endpoint.Credentials{IsAmbiguous: true}
		return
	}
	c.Text, c.client, c.hasName = secret, client, true
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
		w.Header()["Www-Authenticate"] = endpoint.BasicChallenge
	case c.Text == "" && !c.IsAmbiguous:
		w.Header()["Www-Authenticate"] = endpoint.BearerChallenge
	default:
		w.Header()["Www-Authenticate"] = endpoint.InvalidTokenChallenge
	}
	endpoint.WriteError(w, http.StatusUnauthorized, "invalid_client", "the caller's own token is not accepted: send one as a bearer token, or as the secret of its client; "+clientSecretHint)
}

// authenticateCaller returns the identity of a caller that holds the permission. An empty
// permission is held by all. If ok is false, it has written the response.
func (h *Handlers) authenticateCaller(w http.ResponseWriter, r *http.Request, c oauthCaller, at endpoint.Name, permission string) (verify.Identity, bool) {
	facts := c.facts()
	if permission != "" {
		facts.Permissions = []string{permission}
	}
	text := c.Text
	if c.IsAmbiguous {
		text = ""
	}
	who, verdict := h.VerifyCredential(r.Context(), at, text, facts, h.Origin(r))
	switch {
	case verdict == verify.Valid:
		return who, true
	case verdict.IsUndecided():
		endpoint.WriteUnavailable(w)
	case verdict == verify.PermissionMissing:
		w.Header()["Www-Authenticate"] = endpoint.InsufficientScopeChallenge
		endpoint.WriteError(w, http.StatusForbidden, "insufficient_scope", "the caller's own token does not hold "+permission)
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
func (h *Handlers) introspect(w http.ResponseWriter, r *http.Request) {
	req, ok := readTokenRequest(w, r)
	if !ok {
		return
	}
	by, ok := h.authenticateCaller(w, r, req.caller, endpoint.Introspect, permissionIntrospect)
	if !ok {
		return
	}
	asks := endpoint.Principal{Identity: by}
	// A token of another client fails this requirement. So it is not active, and its use is not
	// recorded.
	facts := verify.Facts{Clients: []string{by.Client.Name}}
	if asks.Holds(permissionIntrospectAll) {
		facts.Clients = nil
	}
	if !h.Verifier.IsKnown(req.token) { // the verifier reads it from the API server
		end, err := h.AcquireBudget(asks)
		if err != nil {
			endpoint.WriteBudgetExceeded(w, err)
			return
		}
		defer end()
	}
	// A resource server sends neither the address from which a token was presented nor its session
	// ID. So a token with source ranges is outside of them, and a session token is without its
	// session.
	who, verdict := h.VerifyCredential(r.Context(), endpoint.Introspect, req.token, facts, h.Origin(r).WithoutSource())
	switch {
	case verdict == verify.Valid:
		endpoint.WriteJSON(w, http.StatusOK, introspectionOf(who))
	case verdict.IsUndecided():
		endpoint.WriteUnavailable(w)
	default:
		endpoint.WriteJSON(w, http.StatusOK, introspection{})
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

var exampleIntrospection = introspection{
	Active: true, Scope: "search.query", ClientID: "acme", TokenType: "Bearer",
	Expires: 1774958400, IssuedAt: 1772366400, Subject: "shop/indexer", ID: "at-1b1d8a0a5e4b4a0c9c6b7f7a2f0f1e11",
	Kind: "Application", AccountID: 1001, Roles: []string{"primary"}, Permissions: []string{"search.query"},
}

type tokenBody struct {
	Token        string `json:"token" format:"password"`
	Hint         string `json:"token_type_hint,omitempty" doc:"Ignored"`
	ClientID     string `json:"client_id,omitempty" doc:"The client of the caller's own token, if client_secret has that token"`
	ClientSecret string `json:"client_secret,omitempty" format:"password" doc:"The caller's own token, if it is not in the header Authorization"`
}
