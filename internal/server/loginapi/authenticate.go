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

// AuthenticatePrincipal authenticates a caller: by a token in a header, by the remember-me cookie,
// or by a name and a password. The cookie does not count in a request of another site's page. If
// client is not empty, a user with name and password is authenticated at that client. The only
// error is endpoint.ErrResponseWritten.
//
// A token is the caller's credential, and a name and a password beside it are ignored. They do not
// replace a token that is rejected.
func (l *Logins) AuthenticatePrincipal(w http.ResponseWriter, r *http.Request, client string) (endpoint.Principal, error) {
	p := endpoint.CredentialsInHeaders(r.Header)
	if p.Text == "" && !p.IsAmbiguous {
		if inCookie := endpoint.RememberMeInCookie(r); inCookie.Text != "" || inCookie.IsAmbiguous {
			p = inCookie
		}
	}
	if p.Basic != "" {
		return l.authenticateByBasic(w, r, p.Basic, client)
	}
	who, verdict := l.VerifyCredential(r.Context(), endpoint.Manage, p.Text, verify.Facts{Session: endpoint.CredentialsInHeadersAndCookies(r.Header).Session}, l.Origin(r))
	if verdict == verify.Valid {
		return principalOf(who, p.Text), nil
	}
	switch {
	case verdict.IsUndecided():
		endpoint.WriteUnavailable(w)
	case p.Text == "" && !p.IsAmbiguous:
		endpoint.WriteUnauthorized(w, endpoint.TokenOrPasswordChallenge(r))
	default:
		endpoint.WriteUnauthorized(w, endpoint.InvalidTokenChallenge)
	}
	return endpoint.Principal{}, endpoint.ErrResponseWritten
}

// principalOf returns the principal of a valid token.
func principalOf(who verify.Identity, text string) endpoint.Principal {
	_, digest, _ := token.DigestOf(text) //nolint:errcheck // a valid token is well-formed
	return endpoint.Principal{Identity: who, Digest: digest}
}

// authenticateByBasic authenticates a caller by a name and a password, or by an application token
// in place of the password, whose client must allow that.
func (l *Logins) authenticateByBasic(w http.ResponseWriter, r *http.Request, header, client string) (endpoint.Principal, error) {
	if l.PageOf(r) == endpoint.AllowedPage && r.Method != http.MethodGet && r.Method != http.MethodHead {
		endpoint.WriteError(w, http.StatusForbidden, "access_denied", "a page of another origin changes nothing by a name and a password, which its browser may have kept; log in, and send the token")
		return endpoint.Principal{}, endpoint.ErrResponseWritten
	}
	c, ok := endpoint.ParseBasic(header)
	if username, text, isToken := c.Token(); ok && isToken {
		who, verdict := l.VerifyBasicToken(r.Context(), endpoint.Manage, endpoint.BasicToken{Username: username, Text: text}, l.Origin(r))
		switch {
		case verdict == verify.Valid:
			return principalOf(who, text), nil
		case verdict.IsUndecided():
			endpoint.WriteUnavailable(w)
		default:
			endpoint.WriteUnauthorized(w, endpoint.PasswordChallenge(r))
		}
		return endpoint.Principal{}, endpoint.ErrResponseWritten
	}
	n, _, ok := endpoint.PasswordInHeader(r)
	if !ok {
		endpoint.WriteUnauthorized(w, endpoint.PasswordChallenge(r))
		return endpoint.Principal{}, endpoint.ErrResponseWritten
	}
	return l.authenticateByPassword(w, r, n, client)
}

// authenticateByPassword authenticates a user by name and password, for one request. A request that
// only reads may use a recent check of the password. Every other one needs a check of its own time:
// it may make a token, which outlives the password.
func (l *Logins) authenticateByPassword(w http.ResponseWriter, r *http.Request, n endpoint.PasswordCredentials, client string) (endpoint.Principal, error) {
	n.Reuse = endpoint.ReuseRunning
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		n.Reuse = endpoint.ReuseRecent
	}
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
