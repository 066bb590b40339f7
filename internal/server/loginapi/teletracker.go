package loginapi

import (
	"errors"
	"net/http"
	"time"

	"github.com/apptoken/operator/internal/audit"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/server/decode"
	"github.com/apptoken/operator/internal/server/endpoint"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
)

// This file serves the protocol of TeleTracker: bearer and refresh tokens in JSON
// (docs/login-protocols/teletracker.md).

// timeFormat is the time format of the protocol: ISO 8601 with a numeric offset, where RFC 3339
// allows a Z.
const timeFormat = "2006-01-02T15:04:05-07:00"

// tokenPair is the response to a login, a refresh and a change of account.
type tokenPair struct {
	Success                bool   `json:"success" doc:"Always true"`
	GUID                   string `json:"guid" doc:"Identifies the login. Each refresh has a new one" format:"uuid"`
	Token                  string `json:"token" doc:"The token, for the header Authorization: Bearer"`
	TokenExpiration        string `json:"tokenExpiration" doc:"The first instant at which the token is rejected" format:"date-time"`
	TokenLifetime          int64  `json:"tokenLifetime" doc:"Seconds from the issue of the token until tokenExpiration"`
	RefreshToken           string `json:"refreshToken,omitempty" doc:"Can be exchanged for one new pair. Absent if a login without a refresh token moves to another account"`
	RefreshTokenExpiration string `json:"refreshTokenExpiration,omitempty" format:"date-time"`
}

// successResponse is a response without other content.
type successResponse struct {
	Success bool `json:"success" doc:"Always true"`
}

func tokenPairOf(o login.Opened) tokenPair {
	r := o.Record
	p := tokenPair{
		Success: true, GUID: o.GUID(), Token: o.Token.Reveal(), TokenExpiration: r.ExpiresAt.UTC().Format(timeFormat),
		TokenLifetime: int64(r.ExpiresAt.Sub(r.IssuedAt) / time.Second),
	}
	if r.Refresh != nil { // a login of another protocol that changes its account has none
		p.RefreshToken, p.RefreshTokenExpiration = o.Refresh.Reveal(), r.Refresh.ExpiresAt.UTC().Format(timeFormat)
	}
	return p
}

// TeleTracker serves the login protocol of TeleTracker.
type TeleTracker struct{ *Logins }

// authLogin serves POST /auth/login.
func (h *TeleTracker) authLogin(w http.ResponseWriter, r *http.Request) {
	f, err := ReadLoginFields(w, r, FieldUsername, FieldPassword, FieldAccountID, fieldAuthOnly)
	if err != nil {
		WriteLoginError(w, err, endpoint.PasswordChallenge(r))
		return
	}
	o, only, err := h.logInOrCheck(r, f)
	switch {
	case err != nil:
		WriteLoginError(w, err, endpoint.PasswordChallenge(r))
	case only:
		endpoint.WriteJSON(w, http.StatusOK, successResponse{true})
	default:
		endpoint.WriteJSON(w, http.StatusOK, tokenPairOf(o))
	}
}

// logInOrCheck opens a login, or only checks the password if auth_only is set.
func (h *TeleTracker) logInOrCheck(r *http.Request, f decode.Fields) (o login.Opened, only bool, err error) {
	if only, _, err = f.Flag(fieldAuthOnly); err != nil {
		return o, only, err
	}
	n, err := passwordInRequest(r, f)
	if err != nil {
		return o, only, err
	}
	u, c, err := h.AuthenticateAtClient(r, n, f, "")
	if err != nil {
		return o, only, err
	}
	if only {
		h.reportLogin(r, "Checked")
		h.Audit.WriteLimited(h.WithOrigin(r, audit.Line{Event: audit.LoginChecked, User: u.Name, Client: c.Name, Protocol: ProtocolOf(r)}))
		return o, only, nil
	}
	o, err = h.OpenLogin(r, u, c, login.Terms{Kind: token.Login, Refreshable: true})
	return o, only, err
}

// authRefresh serves POST /auth/refresh.
func (h *TeleTracker) authRefresh(w http.ResponseWriter, r *http.Request) {
	f, err := ReadLoginFields(w, r, FieldRefresh)
	if err != nil {
		WriteLoginError(w, err, endpoint.BearerChallenge)
		return
	}
	o, err := h.RefreshLogin(r, f, login.RefreshRequest{})
	if err != nil {
		WriteLoginError(w, err, endpoint.BearerChallenge)
		return
	}
	endpoint.WriteJSON(w, http.StatusOK, tokenPairOf(o))
}

// authMasquerade serves POST /auth/masquerade, which exchanges a login for one at another account
// of the same user.
func (h *TeleTracker) authMasquerade(w http.ResponseWriter, r *http.Request) {
	f, err := ReadLoginFields(w, r, FieldAccountID)
	if err != nil {
		WriteLoginError(w, err, endpoint.BearerChallenge)
		return
	}
	id, err := parseAccountID(f, false)
	if err == nil && id == nil {
		err = &decode.Error{Status: http.StatusBadRequest, Field: FieldAccountID, Message: "is required"}
	}
	if err != nil {
		WriteLoginError(w, err, endpoint.BearerChallenge)
		return
	}
	// Cookies do not count: a browser sends them with requests that any page makes.
	p := endpoint.CredentialsInHeaders(r.Header)
	who, verdict := h.VerifyCredential(r.Context(), endpoint.Login, p.Text, verify.Facts{}, h.Origin(r))
	_, digest, err := token.DigestOf(p.Text)
	switch {
	case verdict.IsUndecided():
		WriteLoginError(w, login.ErrUnavailable, endpoint.BearerChallenge)
		return
	case verdict != verify.Valid || err != nil:
		WriteLoginError(w, login.ErrDenied, endpoint.BearerChallenge)
		return
	}
	o, err := h.masquerade(r, who, digest, *id)
	if err != nil {
		if !errors.Is(err, login.ErrUnavailable) && who.User != nil {
			h.auditFailedLogin(r, audit.Line{Verdict: "Refused", Reason: err.Error(), User: who.User.Name})
		}
		WriteLoginError(w, err, endpoint.BearerChallenge)
		return
	}
	h.auditLogin(r, audit.Line{Event: audit.LoginMasqueraded, From: who.Client.Name, Predecessor: who.ID.String()}, o)
	endpoint.WriteJSON(w, http.StatusOK, tokenPairOf(o))
}

// masquerade exchanges a login within the budget of its holder. Each attempt reads from the API
// server, even one that is refused.
func (h *TeleTracker) masquerade(r *http.Request, who verify.Identity, digest token.Digest, account int64) (login.Opened, error) {
	end, err := h.AcquireBudget(endpoint.Principal{Identity: who})
	if err != nil {
		return login.Opened{}, err
	}
	defer end()
	return h.Service.Masquerade(r.Context(), digest, account)
}

// authLogout serves POST /auth/logout.
func (h *TeleTracker) authLogout(w http.ResponseWriter, r *http.Request) {
	if err := h.endLogin(r); err != nil {
		WriteLoginError(w, err, endpoint.BearerChallenge)
		return
	}
	h.deleteRememberMe(w, r)
	endpoint.WriteJSON(w, http.StatusOK, successResponse{true})
}

// Operations returns the operations of the protocol.
func (h *TeleTracker) Operations() []endpoint.Operation {
	return []endpoint.Operation{
		{Method: http.MethodPost, Path: "/auth/login", Serve: h.authLogin, Doc: endpoint.Description{
			Id: "authLogin", Tag: endpoint.TagTele, Summary: "Log in, for a token and a refresh token",
			Text: "With auth_only, the operator checks the password and issues no token.",
			Body: authLoginBody{Username: "alice@example.com", Password: "…", AccountID: 1001}, BodyEncodings: endpoint.AnyEncoding, Callers: endpoint.CallersAny, Response: examplePair, Alternative: successResponse{}, ErrorStatuses: []int{400, 401, 403, 429, 503},
		}},
		{Method: http.MethodPost, Path: "/auth/refresh", Serve: h.authRefresh, Doc: endpoint.Description{
			Id: "authRefresh", Tag: endpoint.TagTele, Summary: "Exchange a refresh token for a new pair",
			Text: "The previous pair ends. A retry with the same refresh token within half a minute gets another pair; a later one ends the session.",
			Body: refreshBody{RefreshToken: "atr_…"}, BodyEncodings: endpoint.AnyEncoding, Callers: endpoint.CallersAny, Response: examplePair, ErrorStatuses: []int{400, 401, 429, 503},
		}},
		{Method: http.MethodPost, Path: "/auth/masquerade", Serve: h.authMasquerade, Doc: endpoint.Description{
			Id: "authMasquerade", Tag: endpoint.TagTele, Summary: "Move a login to another account of the user",
			Text: "The previous login ends. The new token expires no later than the previous one.",
			Body: masqueradeBody{AccountID: 1002}, BodyEncodings: endpoint.AnyEncoding, Callers: endpoint.CallersWithToken, Response: examplePair, ErrorStatuses: []int{400, 401, 403, 429, 503},
		}},
		{Method: http.MethodPost, Path: "/auth/logout", Serve: h.authLogout, Doc: endpoint.Description{
			Id: "authLogout", Tag: endpoint.TagTele, Summary: "End the login of the caller",
			Text:    "The token and the refresh token of the login end. An application token is rejected: revoke it instead.",
			Callers: endpoint.CallersWithToken, Response: successResponse{true}, ErrorStatuses: []int{401, 403, 503},
		}},
	}
}

var examplePair = tokenPair{
	Success: true, GUID: "0b6bcb4c-7b5e-4b7b-9a53-0f6c2f6ad0d5", Token: "atl_…",
	TokenExpiration: "2026-03-01T13:00:00+00:00", TokenLifetime: 3600,
	RefreshToken: "atr_…", RefreshTokenExpiration: "2026-03-15T12:00:00+00:00",
}

type authLoginBody struct {
	Username  string `json:"username"`
	Password  string `json:"password" format:"password"`
	AccountID int64  `json:"account_id,omitempty" minimum:"1" doc:"The account_id of the client to log in at. Without it, the user's default account"`
	AuthOnly  bool   `json:"auth_only,omitempty" doc:"Check the password, and issue no token"`
}

type refreshBody struct {
	RefreshToken string `json:"refresh_token" format:"password"`
}

type masqueradeBody struct {
	AccountID int64 `json:"account_id" minimum:"1" doc:"The account_id of the client to move to"`
}
