package server

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/apptoken/operator/internal/verify"
)

// Permissions that these doors ask of their callers.
const (
	permissionIntrospect = "sec.token.introspect"
	permissionRevoke     = "sec.token.revoke"

	// permissionIntrospectAll lets a resource server introspect tokens of other clients than its own. "sec.token.*" does not
	// cover it.
	permissionIntrospectAll = "sec.escalate.introspect"
)

// maxForm is how many bytes a form may have: a token, a hint, a client's name and secret. It holds a token about as long
// as the headers of a request may be, so that a resource server learns of such a token, too, that it is not active.
const maxForm = maxCheck

// form reads the parameters of a request by RFC 6749: each at most once, in the body, and nowhere else.
func form(w http.ResponseWriter, r *http.Request) (url.Values, bool) {
	if kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); !strings.EqualFold(strings.TrimSpace(kind), "application/x-www-form-urlencoded") {
		problem(w, http.StatusUnsupportedMediaType, "invalid_request", "send application/x-www-form-urlencoded")
		return nil, false
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		problem(w, unreadable(err), "invalid_request", "the form cannot be read")
		return nil, false
	}
	for _, name := range []string{"token", "token_type_hint", fieldClientID, fieldClientSecret} {
		if len(r.PostForm[name]) > 1 {
			answer(w, http.StatusBadRequest, fault{Error: "invalid_request", Description: name + " is there twice", Field: name})
			return nil, false
		}
	}
	for _, values := range r.PostForm {
		if len(values) > 1 {
			problem(w, http.StatusBadRequest, "invalid_request", "a parameter is there twice")
			return nil, false
		}
	}
	if r.PostForm.Get("token") == "" {
		answer(w, http.StatusBadRequest, fault{Error: "invalid_request", Description: "token is required", Field: "token"})
		return nil, false
	}
	return r.PostForm, true
}

// caller is who calls, by a credential of its own.
type caller struct {
	presented
	client  string // the name that goes with it, where it comes as the secret of an OAuth client
	byName  bool
	isBasic bool
}

// callerOf takes the caller's own credential: a bearer token, or a token as the secret of a client (RFC 6749, 2.3.1).
func callerOf(r *http.Request, f url.Values) caller {
	c := caller{presented: credentialOf(r.Header)}
	if name, secret, basic := r.BasicAuth(); basic {
		name, err1 := url.QueryUnescape(name)
		secret, err2 := url.QueryUnescape(secret)
		if c.text != "" || err1 != nil || err2 != nil {
			return caller{presented: presented{many: true}, isBasic: true}
		}
		c.text, c.client, c.byName, c.isBasic = secret, name, true, true
	}
	if secret := f.Get("client_secret"); secret != "" {
		if c.text != "" {
			return caller{presented: presented{many: true}, isBasic: c.isBasic}
		}
		c.text, c.client, c.byName = secret, f.Get("client_id"), true
	}
	return c
}

// facts of the caller's own credential: where a name goes with it, it is that of its client.
func (c caller) facts() verify.Facts {
	if !c.byName {
		return verify.Facts{}
	}
	return verify.Facts{Clients: []string{c.client}}
}

// unauthenticated refuses a caller, in the scheme that it tried.
func (c caller) unauthenticated(w http.ResponseWriter) {
	switch {
	case c.isBasic:
		w.Header()["Www-Authenticate"] = basic
	case c.text == "" && !c.many:
		w.Header()["Www-Authenticate"] = challenge
	default:
		w.Header()["Www-Authenticate"] = invalid
	}
	problem(w, http.StatusUnauthorized, "invalid_client", "the caller's own token is not accepted")
}

// authenticated says who calls, if the caller holds the permission.
func (d *Doors) authenticated(w http.ResponseWriter, r *http.Request, c caller, at door, permission string) (verify.Identity, bool) {
	facts := c.facts()
	facts.Permissions = []string{permission}
	text := c.text
	if c.many {
		text = ""
	}
	who, verdict := d.ask(r.Context(), at, text, facts, d.origin(r))
	switch {
	case verdict == verify.Good:
		return who, true
	case verdict.Open():
		unavailable(w)
	case verdict == verify.PermissionMissing:
		w.Header()["Www-Authenticate"] = insufficient
		problem(w, http.StatusForbidden, "insufficient_scope", "the caller's own token does not hold "+permission)
	default:
		c.unauthenticated(w)
	}
	return verify.Identity{}, false
}

// introspection is the answer of RFC 7662, 2.2. Of a token that is not good it says that alone.
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

// introspect answers a resource server (RFC 7662).
func (d *Doors) introspect(w http.ResponseWriter, r *http.Request) {
	f, ok := form(w, r)
	if !ok {
		return
	}
	by, ok := d.authenticated(w, r, callerOf(r, f), doorIntrospect, permissionIntrospect)
	if !ok {
		return
	}
	asks := principal{Identity: by}
	// A token of another client is required to be of this one, and so is not active, and its use is not noted.
	facts := verify.Facts{Clients: []string{by.Client.Name}}
	if asks.holds(permissionIntrospectAll) {
		facts.Clients = nil
	}
	if !d.Verifier.Knows(f.Get("token")) { // it is looked for in the API server
		end, err := d.begin(asks)
		if err != nil {
			d.finish(w, err)
			return
		}
		defer end()
	}
	// The resource server does not say where it was presented, nor with which session: a token with ranges is not known to
	// be in them, nor one of a session to be in that.
	who, verdict := d.ask(r.Context(), doorIntrospect, f.Get("token"), facts, d.origin(r).untold())
	switch {
	case verdict == verify.Good:
		answer(w, http.StatusOK, introspected(who))
	case verdict.Open():
		unavailable(w)
	default:
		answer(w, http.StatusOK, introspection{})
	}
}

func introspected(who verify.Identity) introspection {
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

// serverMetadata is the document of RFC 8414, 2.
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

// metadata says where the doors of OAuth are.
func (d *Doors) metadata(w http.ResponseWriter, r *http.Request) {
	issuer, ok := d.issuer(w, r)
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
	if d.Logins != nil {
		m.Token, m.GrantTypes = issuer+"/oauth2/token", []string{grantPassword, grantRefresh}
		m.TokenAuth = []string{"none", "client_secret_basic", "client_secret_post"}
	}
	answer(w, http.StatusOK, m)
}
