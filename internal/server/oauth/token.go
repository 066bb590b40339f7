package oauth

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/server/decode"
	"github.com/apptoken/operator/internal/server/endpoint"
	"github.com/apptoken/operator/internal/server/loginapi"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
)

// Grants of the token endpoint (RFC 6749).
const (
	grantPassword = "password"
	grantRefresh  = "refresh_token"
)

// oauthTokenResponse is the response of RFC 6749, section 5.1.
type oauthTokenResponse struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type" doc:"Always Bearer"`
	ExpiresIn    int64  `json:"expires_in" doc:"Seconds until the token is rejected"`
	RefreshToken string `json:"refresh_token,omitempty" doc:"Can be exchanged for one new pair"`
	Scope        string `json:"scope,omitempty" doc:"The permissions of the user at the client, separated by spaces"`
}

// oauthToken serves the token endpoint of RFC 6749.
func (h *Handlers) oauthToken(w http.ResponseWriter, r *http.Request) {
	o, err := h.openGrant(w, r)
	switch {
	case errors.Is(err, endpoint.ErrResponseWritten):
		return
	case err != nil:
		h.writeGrantError(w, err)
		return
	}
	res := oauthTokenResponse{
		AccessToken: o.Token.Reveal(), TokenType: "Bearer", RefreshToken: o.Refresh.Reveal(),
		ExpiresIn: int64(o.Record.ExpiresAt.Sub(o.Record.IssuedAt) / time.Second),
	}
	if who, verdict := h.Verifier.PasswordIdentity(o.User.Name, o.Client.Name, h.Source(r)); verdict == verify.Valid {
		res.Scope = strings.Join(who.Permissions, " ")
	}
	w.Header()["Pragma"] = []string{"no-cache"} // required by RFC 6749, section 5.1
	endpoint.WriteJSON(w, http.StatusOK, res)
}

var errGrantType = errors.New("unsupported grant type")

func (h *Handlers) openGrant(w http.ResponseWriter, r *http.Request) (login.Opened, error) {
	f, err := loginapi.ReadLoginFields(w, r, loginapi.FieldGrantType, loginapi.FieldUsername, loginapi.FieldPassword, loginapi.FieldRefresh, loginapi.FieldAccountID, loginapi.FieldClientID, loginapi.FieldClientSecret)
	if err != nil {
		return login.Opened{}, err
	}
	kind, err := f.Required(loginapi.FieldGrantType)
	if err != nil {
		return login.Opened{}, err
	}
	program, err := h.oauthClientOf(w, r, f)
	if err != nil {
		return login.Opened{}, err
	}
	switch kind {
	case grantRefresh:
		return h.RefreshLogin(r, f, program.provenName())
	case grantPassword:
		return h.grantPassword(r, f, program)
	default:
		return login.Opened{}, errGrantType
	}
}

// errOtherClient reports that a program with a client's token asks for a login at another client.
var errOtherClient = errors.New("the program is of another client")

// grantPassword opens a login. If the program's name is that of a client at which the user has an
// account, the login is at that client.
func (h *Handlers) grantPassword(r *http.Request, f decode.Fields, p oauthClient) (login.Opened, error) {
	n, err := loginapi.PasswordInFields(f)
	if err != nil {
		return login.Opened{}, err
	}
	u, c, err := h.AuthenticateAtClient(r, n, f, p.name)
	if err == nil && p.provenName() != "" && c.Name != p.name {
		err = errOtherClient
		h.ReportRefusedLogin(r, u, err)
	}
	if err != nil {
		return login.Opened{}, err
	}
	return h.OpenLogin(r, u, c, login.Terms{Kind: token.Login, Refreshable: true})
}

// oauthClient is the Handlers client that asks for a login.
type oauthClient struct {
	name     string // client_id: the name of a client, or any other text; may be empty
	isProven bool   // the program has sent a token of the client of that name
}

// provenName returns the client whose token the program has sent, or an empty string.
func (p oauthClient) provenName() string {
	if !p.isProven {
		return ""
	}
	return p.name
}

// oauthClientOf returns the program in the body or in the Authorization header. A program is a
// public client and needs no secret (RFC 6749, section 2.4). A secret must be a token of the client
// named client_id, and limits the program to logins at that client.
func (h *Handlers) oauthClientOf(w http.ResponseWriter, r *http.Request, f decode.Fields) (oauthClient, error) {
	name, _, err := f.Text(loginapi.FieldClientID)
	if err != nil {
		return oauthClient{}, err
	}
	secret, _, err := f.Text(loginapi.FieldClientSecret)
	if err != nil {
		return oauthClient{}, err
	}
	c := oauthCaller{Credentials: endpoint.Credentials{Text: secret}, client: name, hasName: true}
	if _, c.isBasic, _ = endpoint.PasswordInHeader(r); c.isBasic {
		user, pass, readable := r.BasicAuth()
		user, err1 := url.QueryUnescape(user)
		pass, err2 := url.QueryUnescape(pass)
		if secret != "" || name != "" && name != user {
			return oauthClient{}, &decode.Error{Status: http.StatusBadRequest, Field: loginapi.FieldClientID, Message: "or client_secret is in the body and in the header Authorization; send it once"}
		}
		if !readable || len(r.Header["Authorization"]) > 1 || err1 != nil || err2 != nil {
			c.writeUnauthenticated(w)
			return oauthClient{}, endpoint.ErrResponseWritten
		}
		c.client, c.Text = user, pass
	}
	if c.Text == "" {
		return oauthClient{name: c.client}, nil
	}
	switch _, verdict := h.VerifyCredential(r.Context(), endpoint.Login, c.Text, c.facts(), h.Origin(r)); {
	case verdict == verify.Valid:
		return oauthClient{c.client, true}, nil
	case verdict.IsUndecided():
		endpoint.WriteUnavailable(w)
	default:
		c.isBasic = true // the challenge is Basic, since a bearer token is not accepted here
		c.writeUnauthenticated(w)
	}
	return oauthClient{}, endpoint.ErrResponseWritten
}

// writeGrantError writes the response to an error. By RFC 6749, section 5.2, a grant that is not
// accepted is a 400.
func (h *Handlers) writeGrantError(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, errGrantType):
		endpoint.WriteError(w, http.StatusBadRequest, "unsupported_grant_type", "grant_type is password or refresh_token")
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
	GrantType    string `json:"grant_type" enum:"password,refresh_token"`
	Username     string `json:"username,omitempty" doc:"For the grant password"`
	Password     string `json:"password,omitempty" format:"password" doc:"For the grant password"`
	RefreshToken string `json:"refresh_token,omitempty" format:"password" doc:"For the grant refresh_token"`
	AccountID    int64  `json:"account_id,omitempty" minimum:"1" doc:"For the grant password: the account_id of the client to log in at"`
	ClientID     string `json:"client_id,omitempty" doc:"The name of a client. If the user has an account there, the login is at that client"`
	ClientSecret string `json:"client_secret,omitempty" format:"password" doc:"An application token of that client. Not required"`
}
