package oauth

import (
	"errors"
	"net/http"
	"time"

	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/server/decode"
	"github.com/apptoken/operator/internal/server/endpoint"
	"github.com/apptoken/operator/internal/server/loginapi"
	"github.com/apptoken/operator/internal/token"
)

// Grants of the token endpoint (RFC 6749).
const (
	grantPassword = "password"
	grantRefresh  = "refresh_token"
	grantClient   = "client_credentials"
)

// oauthTokenResponse is the response of RFC 6749, section 5.1.
type oauthTokenResponse struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type" doc:"Always Bearer"`
	ExpiresIn    int64  `json:"expires_in" doc:"Seconds until the token is rejected"`
	RefreshToken string `json:"refresh_token,omitempty" doc:"Can be exchanged for one new pair. Not for the grant client_credentials"`
	Scope        string `json:"scope,omitempty" doc:"The permissions that were granted, separated by spaces: those of the request, or all"`
}

// oauthToken serves the token endpoint of RFC 6749.
func (h *Handlers) oauthToken(w http.ResponseWriter, r *http.Request) {
	o, scope, err := h.openGrant(w, r)
	switch {
	case errors.Is(err, endpoint.ErrResponseWritten):
		return
	case err != nil:
		h.writeGrantError(w, err)
		return
	}
	w.Header()["Pragma"] = []string{"no-cache"} // required by RFC 6749, section 5.1
	endpoint.WriteJSON(w, http.StatusOK, oauthTokenResponse{
		AccessToken: o.Token.Reveal(), TokenType: "Bearer", RefreshToken: o.Refresh.Reveal(), Scope: scope,
		ExpiresIn: int64(o.Record.ExpiresAt.Sub(o.Record.IssuedAt) / time.Second),
	})
}

var errGrantType = errors.New("unsupported grant type")

// openGrant serves a grant. It returns what it opened, and the scope of that.
func (h *Handlers) openGrant(w http.ResponseWriter, r *http.Request) (login.Opened, string, error) {
	f, err := loginapi.ReadLoginFields(w, r, loginapi.FieldGrantType, loginapi.FieldUsername, loginapi.FieldPassword, loginapi.FieldRefresh,
		loginapi.FieldAccountID, loginapi.FieldClientID, loginapi.FieldClientSecret, loginapi.FieldScope)
	if err != nil {
		return login.Opened{}, "", err
	}
	kind, err := f.Required(loginapi.FieldGrantType)
	if err != nil {
		return login.Opened{}, "", err
	}
	program, err := h.oauthClientOf(w, r, f)
	if err != nil {
		return login.Opened{}, "", err
	}
	open := map[string]grantHandler{grantPassword: h.grantPassword, grantRefresh: h.grantRefresh, grantClient: h.grantClient}[kind]
	if open == nil {
		return login.Opened{}, "", errGrantType
	}
	scope, err := scopeIn(f)
	if err != nil {
		return login.Opened{}, "", err
	}
	o, err := open(r, f, program, scope)
	if err != nil {
		return login.Opened{}, "", err
	}
	if kind == grantClient {
		return o, program.grantedScope(scope), nil
	}
	return o, h.grantedScope(r, o, scope), nil
}

// grantHandler serves one grant.
type grantHandler func(r *http.Request, f decode.Fields, p oauthClient, scope []string) (login.Opened, error)

// errOtherClient reports that a program with a client's token asks for a login at another client.
var errOtherClient = errors.New("the program is of another client")

// grantPassword opens a login. If the program's name is that of a client at which the user has an
// account, the login is at that client.
func (h *Handlers) grantPassword(r *http.Request, f decode.Fields, p oauthClient, scope []string) (login.Opened, error) {
	n, err := loginapi.PasswordInFields(f)
	if err != nil {
		return login.Opened{}, err
	}
	u, c, err := h.AuthenticateAtClient(r, n, f, p.name)
	if err == nil && p.provenName() != "" && c.Name != p.name {
		err = errOtherClient
		h.ReportRefusedLogin(r, u, err)
	}
	if err == nil && len(scope) > 0 {
		if err = login.CheckScope(h.heldBy(r)(u, c), scope); err != nil {
			h.ReportRefusedLogin(r, u, err)
		}
	}
	if err != nil {
		return login.Opened{}, err
	}
	return h.OpenLogin(r, u, c, login.Terms{Kind: token.Login, Refreshable: true, Permissions: sorted(scope)})
}

// grantRefresh exchanges a refresh token. A scope narrows the new login, and the refresh token
// keeps that of its session (RFC 6749, section 6).
func (h *Handlers) grantRefresh(r *http.Request, f decode.Fields, p oauthClient, scope []string) (login.Opened, error) {
	return h.RefreshLogin(r, f, login.RefreshRequest{Client: p.provenName(), Permissions: sorted(scope), Held: h.heldBy(r)})
}

// isInvalidScope reports whether an error is about the value of scope. RFC 6749 has a code for it.
func isInvalidScope(err error) bool {
	field, isField := errors.AsType[*decode.Error](err)
	_, isScope := errors.AsType[*login.InvalidScope](err)
	return isScope || isField && field.Field == loginapi.FieldScope && field.Message == decode.TooLong
}

// writeGrantError writes the response to an error. By RFC 6749, section 5.2, a grant that is not
// accepted is a 400.
func (h *Handlers) writeGrantError(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, errGrantType):
		endpoint.WriteError(w, http.StatusBadRequest, "unsupported_grant_type", "grant_type is password, refresh_token or client_credentials")
		return
	case errors.Is(err, errUnauthorizedClient):
		endpoint.WriteError(w, http.StatusBadRequest, "unauthorized_client", errUnauthorizedClient.Error())
		return
	case isInvalidScope(err):
		endpoint.WriteJSON(w, http.StatusBadRequest, endpoint.Fault{Error: "invalid_scope", Description: err.Error(), Field: loginapi.FieldScope})
		return
	case errors.Is(err, errNoSecret):
		writeInvalidClient(w)
		return
	case errors.Is(err, errOtherClient):
		w.Header()["Www-Authenticate"] = endpoint.BasicChallenge
		endpoint.WriteJSON(w, http.StatusUnauthorized, endpoint.Fault{
			Error: "invalid_client", Field: loginapi.FieldClientID,
			Description: "client_id is not the client of the account that is logged in at",
		})
		return
	}
	status, f := loginapi.LoginFault(w, err)
	switch status {
	case http.StatusUnauthorized:
		status, f.Error, f.Description = http.StatusBadRequest, "invalid_grant", "the name, the password or the refresh token is not accepted"
	case http.StatusForbidden: // the user has no account to log in at
		status, f.Error = http.StatusBadRequest, "invalid_grant"
	}
	endpoint.WriteJSON(w, status, f)
}

type grantBody struct {
	GrantType    string `json:"grant_type" enum:"password,refresh_token,client_credentials"`
	Username     string `json:"username,omitempty" doc:"For the grant password"`
	Password     string `json:"password,omitempty" format:"password" doc:"For the grant password"`
	RefreshToken string `json:"refresh_token,omitempty" format:"password" doc:"For the grant refresh_token"`
	AccountID    int64  `json:"account_id,omitempty" minimum:"1" doc:"For the grant password: the account_id of the client to log in at"`
	ClientID     string `json:"client_id,omitempty" doc:"The name of a client. If the user has an account there, the login is at that client"`
	ClientSecret string `json:"client_secret,omitempty" format:"password" doc:"An application token of that client. Required for the grant client_credentials only"`
	Scope        string `json:"scope,omitempty" doc:"Permissions, separated by spaces, that narrow the token. Without it, the token holds all that the user, or the application token, holds"`
}
