package loginapi

import (
	"net/http"
	"time"

	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/server/endpoint"
	"github.com/apptoken/operator/internal/token"
)

// This file serves the login of Funnelback 15: a form, and a response with the token in a header
// (docs/login-protocols/funnelback.md). Application tokens of its users are in package tokenapi.

// HeaderSecurityToken carries a token in requests and in responses.
const HeaderSecurityToken = "X-Security-Token"

// loginResponse is the response body of a login. The token is in the header, not here.
type loginResponse struct {
	endpoint.NoError
	Data      string `json:"data" doc:"Always the same text"`
	Username  string `json:"username" doc:"The username of the login"`
	Client    string `json:"client" doc:"The client of the login"`
	AccountID int64  `json:"accountId,omitempty" doc:"The account ID of the client, if it has one"`
	ExpiresAt string `json:"expiresAt" doc:"The first instant at which the token is rejected" format:"date-time"`
}

// authenticatedText is the text that programs find in a response to a login.
const authenticatedText = "Authenticated, see x-security-token."

// Funnelback serves the login of Funnelback.
type Funnelback struct {
	*Logins
	// AcceptsCredentialsInURL accepts the username and the password in the query too, as an old
	// page of Funnelback documents.
	AcceptsCredentialsInURL bool
}

// formLogin serves a login by form. The response has the token in X-Security-Token, and in a cookie
// that a browser keeps as long as the login lives. Only a caller that declines remember-me gets no
// cookie: the documented response to a request without the field has one.
func (h *Funnelback) formLogin(w http.ResponseWriter, r *http.Request) {
	o, withCookie, err := h.openForm(w, r)
	if err != nil {
		WriteLoginError(w, err, endpoint.PasswordChallenge(r))
		return
	}
	w.Header()[HeaderSecurityToken] = []string{o.Token.Reveal()}
	if withCookie {
		h.SetCookie(w, r, http.Cookie{Name: endpoint.CookieRememberMe, Value: o.Token.Reveal(), Expires: o.Record.ExpiresAt}) //nolint:gosec // SetCookie sets the other attributes
	}
	endpoint.WriteJSON(w, http.StatusOK, loginResponse{
		Data: authenticatedText, Username: o.User.Username, Client: o.Client.Name, AccountID: o.Client.AccountID,
		ExpiresAt: o.Record.ExpiresAt.UTC().Format(time.RFC3339),
	})
}

// deleteRememberMe deletes the remember-me cookie of a request whose login has ended.
func (l *Logins) deleteRememberMe(w http.ResponseWriter, r *http.Request) {
	c, err := r.Cookie(endpoint.CookieRememberMe)
	if err == nil && c.Value == endpoint.CredentialsInHeadersAndCookies(r.Header).Text {
		l.SetCookie(w, r, http.Cookie{Name: endpoint.CookieRememberMe, MaxAge: -1}) //nolint:gosec // SetCookie sets the other attributes
	}
}

// openForm opens a login, and reports whether the response has a cookie.
func (h *Funnelback) openForm(w http.ResponseWriter, r *http.Request) (o login.Opened, withCookie bool, err error) {
	read := ReadLoginFields
	if h.AcceptsCredentialsInURL {
		read = readQueryAndBody
	}
	f, err := read(w, r, FieldUsername, FieldPassword, fieldRememberMe, FieldAccountID)
	if err != nil {
		return o, false, err
	}
	remember, isStated, err := f.Flag(fieldRememberMe)
	if err != nil {
		return o, false, err
	}
	n, err := passwordInRequest(r, f)
	if err != nil {
		return o, false, err
	}
	u, c, err := h.AuthenticateAtClient(r, n, f, "")
	if err != nil {
		return o, false, err
	}
	o, err = h.OpenLogin(r, u, c, login.Terms{Kind: token.Login, Remember: remember})
	return o, remember || !isStated, err
}

// Operations returns the operations of the protocol.
func (h *Funnelback) Operations() []endpoint.Operation {
	return endpoint.WithAdminPrefix(endpoint.Operation{Method: http.MethodPost, Path: "/account/v1/login", Serve: h.formLogin, Doc: endpoint.Description{
		Id: "formLogin", Tag: endpoint.TagFunnelback, Summary: "Log in, for a token in the header X-Security-Token",
		Text: "The token is in the response header and in a cookie, not in the body. It ends at expiresAt, when it is revoked, and when the password changes.",
		Body: loginBody{Username: "alice@example.com", Password: "…"}, BodyEncodings: endpoint.AnyEncoding, Query: []endpoint.Param{{Name: fieldRememberMe, Text: "true for a longer lifetime; false for no cookie"}},
		Callers: endpoint.CallersAny, Response: loginResponse{Data: authenticatedText, Username: "alice@example.com", Client: "acme", AccountID: 1001, ExpiresAt: "2026-03-15T12:00:00Z"}, TokenHeader: HeaderSecurityToken,
		Sets: []endpoint.Param{{Name: "Set-Cookie", Text: "The token again, unless remember-me is false", Example: endpoint.CookieRememberMe + "=atl_…; Path=/; Expires=Sun, 15 Mar 2026 12:00:00 GMT; HttpOnly; Secure; SameSite=Lax"}}, ErrorStatuses: []int{400, 401, 403, 429, 503},
	}})
}

type loginBody struct {
	Username  string `json:"username"`
	Password  string `json:"password" format:"password"`
	AccountID int64  `json:"account_id,omitempty" minimum:"1" doc:"The account_id of the client to log in at. Without it, the user's default account"`
}
