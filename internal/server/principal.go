package server

import (
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/apptoken/operator/internal/grant"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/login/password"
	"github.com/apptoken/operator/internal/management"
	"github.com/apptoken/operator/internal/server/fields"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
)

// passwordCredentials is a name and a password that a request presents.
type passwordCredentials struct {
	username     string
	secret       password.Secret
	isIntegrator bool // a user of several accounts, who must choose one
}

// passwordInHeader returns the name and password in the Authorization header, by RFC 7617 or by the
// scheme Integrator, which has the same format. there reports whether the request has such a
// header. ok reports whether the header counts. A header beside a second one does not, since the
// two may differ. In a request of another site's page it does not either: browsers add stored
// credentials there.
func passwordInHeader(r *http.Request) (n passwordCredentials, there, ok bool) {
	values := r.Header["Authorization"]
	credentials := ""
	for _, value := range values {
		scheme, rest, _ := strings.Cut(value, " ")
		integrator := strings.EqualFold(scheme, "Integrator")
		if integrator || strings.EqualFold(scheme, "Basic") {
			n.isIntegrator, credentials, there = integrator, strings.TrimLeft(rest, " "), true
		}
	}
	text, err := base64.StdEncoding.DecodeString(credentials)
	if !there || err != nil || len(values) > 1 || isCrossSite(r) {
		return passwordCredentials{}, there, false
	}
	username, presented, found := strings.Cut(string(text), ":")
	if !found || username == "" || len(username) > maxUsername {
		return passwordCredentials{}, true, false
	}
	n.username = login.NormalizeUsername(username)
	n.secret, err = password.ParseSecret(presented)
	return n, true, err == nil
}

// maxUsername is the maximum length of a username: 254 characters of up to four bytes.
const maxUsername = 4 * 254

// principal is an authenticated caller, by a token or by name and password.
type principal struct {
	verify.Identity
	digest token.Digest // of the token; zero for a caller by name and password
}

// auditName returns the name of a principal in the audit log.
func (p principal) auditName() string {
	if p.digest != (token.Digest{}) {
		return p.ID.String()
	}
	return "user " + p.Subject
}

// managementCaller returns the principal as a caller of the management service. The end of a login
// does not limit the lifetime of tokens that its user makes, since the user can log in again. An
// application token speaks for a program, and what it makes ends no later than the token itself.
func (p principal) managementCaller() management.Caller {
	holds := grant.Authority{Roles: p.Roles, Permissions: p.Permissions, Ranges: p.Ranges}
	if p.Kind == token.Application || p.Kind == token.UserApplication {
		holds.End = p.ExpiresAt
	}
	return management.Caller{ID: p.auditName(), Subject: p.Subject, Authority: holds, CanEscalate: p.holds(management.PermissionEscalate)}
}

// budgetKey returns the key of the budget that pays for a request. It is the user, since a user may
// have many credentials. Without a user it is the ApplicationToken, whichever version is presented.
func (p principal) budgetKey() string {
	if p.User != nil {
		return "user " + p.User.Name
	}
	return "token " + p.Subject
}

// errResponseWritten reports that the response was written.
var errResponseWritten = errors.New("refused")

// authenticatePrincipal authenticates a caller: by a token in a header, or by a name and a
// password. A cookie is not enough, since a browser sends it with requests that any page makes. If
// client is not empty, a user with name and password is authenticated at that client. The only
// error is errResponseWritten.
func (l *Logins) authenticatePrincipal(w http.ResponseWriter, r *http.Request, client string) (principal, error) {
	n, byName, readable := passwordInHeader(r)
	p := presentedInHeaders(r.Header)
	switch {
	case byName && (p.text != "" || p.isAmbiguous || !readable):
		writeUnauthorized(w, passwordChallenge(r))
		return principal{}, errResponseWritten
	case byName:
		return l.authenticateByPassword(w, r, n, client)
	}
	who, verdict := l.verifyCredential(r.Context(), endpointManage, p.text, verify.Facts{Session: presentedInHeadersAndCookies(r.Header).session}, l.origin(r))
	_, digest, err := token.DigestOf(p.text)
	switch {
	case verdict == verify.Valid && err == nil:
		return principal{who, digest}, nil
	case verdict.IsUndecided():
		writeUnavailable(w)
	case p.text == "" && !p.isAmbiguous:
		writeUnauthorized(w, bearerChallenge)
	default:
		writeUnauthorized(w, invalidTokenChallenge)
	}
	return principal{}, errResponseWritten
}

// authenticateByPassword authenticates a user by name and password, for one request.
func (l *Logins) authenticateByPassword(w http.ResponseWriter, r *http.Request, n passwordCredentials, client string) (principal, error) {
	u, c, err := l.authenticateAtQueryAccount(w, r, n, client)
	if err != nil {
		writeLoginError(w, err, passwordChallenge(r))
		return principal{}, errResponseWritten
	}
	who, verdict := l.Verifier.PasswordIdentity(u.Name, c.Name, l.source(r))
	l.Metrics.observe(endpointManage, verdict, 0)
	switch {
	case verdict == verify.Valid:
		return principal{Identity: who}, nil
	case verdict.IsUndecided():
		writeUnavailable(w)
	default:
		writeUnauthorized(w, passwordChallenge(r))
	}
	return principal{}, errResponseWritten
}

// authenticateAtQueryAccount is enter with the account_id in the query. If client is not empty, the
// account must be at that client.
func (l *Logins) authenticateAtQueryAccount(w http.ResponseWriter, r *http.Request, n passwordCredentials, client string) (login.User, login.Client, error) {
	f, err := fields.Read(w, r, 0, fields.Query, fieldAccountID)
	if err != nil {
		return login.User{}, login.Client{}, err
	}
	u, c, err := l.authenticateAtClient(r, n, f, client)
	if err == nil && client != "" && c.Name != client {
		err = errNoAccountAtClient
	}
	return u, c, err
}

// errNoAccountAtClient reports that an authenticated user has no account at the client of a
// request. The response is a 404.
var errNoAccountAtClient = errors.New("the user has no such account")

// isCrossSite reports whether a browser sends a request for a page of another host. It goes by
// Sec-Fetch-Site, or in older browsers by Origin and Referer. An older browser sends no Origin with
// a GET that follows a link or loads an image, but it sends a Referer. Programs send none of the
// three.
func isCrossSite(r *http.Request) bool {
	if site := r.Header["Sec-Fetch-Site"]; len(site) > 0 {
		return slices.ContainsFunc(site, func(s string) bool { return s != "same-origin" && s != "none" })
	}
	for _, name := range []string{"Origin", "Referer"} {
		if pages := r.Header[name]; len(pages) > 0 {
			return slices.ContainsFunc(pages, func(page string) bool { return hostOf(page) != r.Host })
		}
	}
	return false
}

// hostOf returns the host and port of a page's URL, or an empty string.
func hostOf(page string) string {
	_, host, _ := strings.Cut(page, "://")
	if end := strings.IndexAny(host, "/?#"); end >= 0 {
		host = host[:end]
	}
	return host
}

// passwordChallenge returns the challenge for a name and a password. A script of a page gets a
// Bearer challenge instead: on a Basic challenge, the browser would prompt for a password and store
// it.
func passwordChallenge(r *http.Request) []string {
	if mode := r.Header["Sec-Fetch-Mode"]; len(mode) > 0 && mode[0] != "navigate" || isCrossSite(r) {
		return bearerChallenge
	}
	return basic
}

// writeUnauthorized writes a 401 with a challenge.
func writeUnauthorized(w http.ResponseWriter, how []string) {
	w.Header()["Www-Authenticate"] = how
	writeError(w, http.StatusUnauthorized, "unauthorized", "a token, or a name and a password, is required and was not accepted")
}
