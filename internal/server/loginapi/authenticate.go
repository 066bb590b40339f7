package loginapi

import (
	"errors"
	"net/http"

	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/server/decode"
	"github.com/apptoken/operator/internal/server/endpoint"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
)

// AuthenticatePrincipal authenticates a caller: by a token in a header, or by a name and a
// password. A cookie is not enough, since a browser sends it with requests that any page makes. If
// client is not empty, a user with name and password is authenticated at that client. The only
// error is endpoint.ErrResponseWritten.
func (l *Logins) AuthenticatePrincipal(w http.ResponseWriter, r *http.Request, client string) (endpoint.Principal, error) {
	n, byName, readable := endpoint.PasswordInHeader(r)
	p := endpoint.CredentialsInHeaders(r.Header)
	switch {
	case byName && (p.Text != "" || p.IsAmbiguous || !readable):
		endpoint.WriteUnauthorized(w, endpoint.PasswordChallenge(r))
		return endpoint.Principal{}, endpoint.ErrResponseWritten
	case byName:
		return l.authenticateByPassword(w, r, n, client)
	}
	who, verdict := l.VerifyCredential(r.Context(), endpoint.Manage, p.Text, verify.Facts{Session: endpoint.CredentialsInHeadersAndCookies(r.Header).Session}, l.Origin(r))
	_, digest, err := token.DigestOf(p.Text)
	switch {
	case verdict == verify.Valid && err == nil:
		return endpoint.Principal{Identity: who, Digest: digest}, nil
	case verdict.IsUndecided():
		endpoint.WriteUnavailable(w)
	case p.Text == "" && !p.IsAmbiguous:
		endpoint.WriteUnauthorized(w, endpoint.TokenOrPasswordChallenge(r))
	default:
		endpoint.WriteUnauthorized(w, endpoint.InvalidTokenChallenge)
	}
	return endpoint.Principal{}, endpoint.ErrResponseWritten
}

// authenticateByPassword authenticates a user by name and password, for one request.
func (l *Logins) authenticateByPassword(w http.ResponseWriter, r *http.Request, n endpoint.PasswordCredentials, client string) (endpoint.Principal, error) {
	u, c, err := l.authenticateAtQueryAccount(w, r, n, client)
	if err != nil {
		WriteLoginError(w, err, endpoint.PasswordChallenge(r))
		return endpoint.Principal{}, endpoint.ErrResponseWritten
	}
	who, verdict := l.Verifier.PasswordIdentity(u.Name, c.Name, l.Source(r))
	l.Metrics.Observe(endpoint.Manage, verdict, 0)
	switch {
	case verdict == verify.Valid:
		return endpoint.Principal{Identity: who}, nil
	case verdict.IsUndecided():
		endpoint.WriteUnavailable(w)
	default:
		endpoint.WriteUnauthorized(w, endpoint.PasswordChallenge(r))
	}
	return endpoint.Principal{}, endpoint.ErrResponseWritten
}

// authenticateAtQueryAccount authenticates a user by name and password, at the account that the
// account_id in the query names. If client is not empty, the account must be at that client.
func (l *Logins) authenticateAtQueryAccount(w http.ResponseWriter, r *http.Request, n endpoint.PasswordCredentials, client string) (login.User, login.Client, error) {
	f, err := decode.Read(w, r, 0, decode.Query, FieldAccountID)
	if err != nil {
		return login.User{}, login.Client{}, err
	}
	u, c, err := l.AuthenticateAtClient(r, n, f, client)
	if err == nil && client != "" && c.Name != client {
		err = errNoAccountAtClient
	}
	return u, c, err
}

// errNoAccountAtClient reports that an authenticated user has no account at the client of a
// request. The response is a 404.
var errNoAccountAtClient = errors.New("the user has no such account")
