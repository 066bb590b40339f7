package oauth

import (
	"net/http"
	"net/url"
	"strings"

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

// maxForm is the maximum size of a form in bytes: a token, a hint, a client's name and secret. It
// is as large as a CheckRequest. So a resource server can introspect even the overlong tokens that
// ext_authz receives, and learns that they are not active.
const maxForm = endpoint.MaxCheckRequest

// form parses the parameters of a request by RFC 6749: in the body alone, and each at most once.
func form(w http.ResponseWriter, r *http.Request) (url.Values, bool) {
	if kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); !strings.EqualFold(strings.TrimSpace(kind), "application/x-www-form-urlencoded") {
		endpoint.WriteError(w, http.StatusUnsupportedMediaType, "invalid_request", "send application/x-www-form-urlencoded")
		return nil, false
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		endpoint.WriteError(w, endpoint.ReadErrorStatus(err), "invalid_request", "the form cannot be read")
		return nil, false
	}
	for _, name := range []string{"token", "token_type_hint", loginapi.FieldClientID, loginapi.FieldClientSecret} {
		if len(r.PostForm[name]) > 1 {
			endpoint.WriteJSON(w, http.StatusBadRequest, endpoint.Fault{Error: "invalid_request", Description: name + " is there twice", Field: name})
			return nil, false
		}
	}
	for _, values := range r.PostForm {
		if len(values) > 1 {
			endpoint.WriteError(w, http.StatusBadRequest, "invalid_request", "a parameter is there twice")
			return nil, false
		}
	}
	if r.PostForm.Get("token") == "" {
		endpoint.WriteJSON(w, http.StatusBadRequest, endpoint.Fault{Error: "invalid_request", Description: "token is required", Field: "token"})
		return nil, false
	}
	return r.PostForm, true
}

// oauthCaller is the caller of an endpoint, with the credential of its own that it presents.
type oauthCaller struct {
	endpoint.Credentials
	client  string // client name, if the credential is the secret of an Handlers client
	hasName bool
	isBasic bool
}

// oauthCallerOf returns the caller's own credential: a bearer token, or a token as the secret of an
// Handlers client (RFC 6749, section 2.3.1).
func oauthCallerOf(r *http.Request, f url.Values) oauthCaller {
	c := oauthCaller{Credentials: endpoint.CredentialsInHeaders(r.Header)}
	if name, secret, basic := r.BasicAuth(); basic {
		name, err1 := url.QueryUnescape(name)
		secret, err2 := url.QueryUnescape(secret)
		if c.Text != "" || c.IsAmbiguous || err1 != nil || err2 != nil {
			return oauthCaller{Credentials: endpoint.Credentials{IsAmbiguous: true}, isBasic: true}
		}
		c.Text, c.client, c.hasName, c.isBasic = secret, name, true, true
	}
	if secret := f.Get("client_secret"); secret != "" {
		if c.Text != "" {
			return oauthCaller{Credentials: endpoint.Credentials{IsAmbiguous: true}, isBasic: c.isBasic}
		}
		c.Text, c.client, c.hasName = secret, f.Get("client_id"), true
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
		w.Header()["Www-Authenticate"] = endpoint.BasicChallenge
	case c.Text == "" && !c.IsAmbiguous:
		w.Header()["Www-Authenticate"] = endpoint.BearerChallenge
	default:
		w.Header()["Www-Authenticate"] = endpoint.InvalidTokenChallenge
	}
	endpoint.WriteError(w, http.StatusUnauthorized, "invalid_client", "the caller's own token is not accepted")
}

// authenticateCaller returns the identity of a caller that holds the permission. If ok is false, it
// has written the response.
func (h *Handlers) authenticateCaller(w http.ResponseWriter, r *http.Request, c oauthCaller, at endpoint.Name, permission string) (verify.Identity, bool) {
	facts := c.facts()
	facts.Permissions = []string{permission}
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
	f, ok := form(w, r)
	if !ok {
		return
	}
	by, ok := h.authenticateCaller(w, r, oauthCallerOf(r, f), endpoint.Introspect, permissionIntrospect)
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
	if !h.Verifier.IsKnown(f.Get("token")) { // the verifier reads it from the API server
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
	who, verdict := h.VerifyCredential(r.Context(), endpoint.Introspect, f.Get("token"), facts, h.Origin(r).WithoutSource())
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
