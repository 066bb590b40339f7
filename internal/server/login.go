package server

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/apptoken/operator/internal/audit"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/login/password"
	"github.com/apptoken/operator/internal/server/fields"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
)

// Field names of the login protocols.
const (
	fieldUsername   = "username"
	fieldPassword   = "password"
	fieldAccountID  = "account_id"
	fieldAuthOnly   = "auth_only"
	fieldRememberMe = "remember-me"
	fieldRefresh    = "refresh_token"

	fieldGrantType    = "grant_type"
	fieldClientID     = "client_id"
	fieldClientSecret = "client_secret"
)

// maxLoginBody is the maximum body size of a login, in bytes.
const maxLoginBody = 16 << 10

// readLoginFields reads the fields of a login. Usernames and secrets are accepted in the body
// alone, since URLs end up in access logs.
func readLoginFields(w http.ResponseWriter, r *http.Request, known ...string) (fields.Fields, error) {
	addressed, err := fields.Read(w, r, 0, fields.Query, known...)
	if err != nil {
		return fields.Fields{}, err
	}
	for _, name := range []string{fieldUsername, fieldPassword, fieldRefresh, fieldClientSecret} {
		if _, there, _ := addressed.Text(name); there { //nolint:errcheck // a query field is always text
			return fields.Fields{}, &fields.Error{Status: http.StatusBadRequest, Field: name, Message: "must be in the body, and not in the address"}
		}
	}
	return fields.Read(w, r, maxLoginBody, fields.Query|fields.Body, known...)
}

// passwordInFields returns the name and the password in fields.
func passwordInFields(f fields.Fields) (passwordCredentials, error) {
	username, err := f.Required(fieldUsername)
	if err != nil {
		return passwordCredentials{}, err
	}
	if len(username) > maxUsername {
		return passwordCredentials{}, &fields.Error{Status: http.StatusBadRequest, Field: fieldUsername, Message: "is too long"}
	}
	text, err := f.Required(fieldPassword)
	if err != nil {
		return passwordCredentials{}, err
	}
	secret, err := password.ParseSecret(text)
	if err != nil {
		return passwordCredentials{}, &fields.Error{Status: http.StatusBadRequest, Field: fieldPassword, Message: "is longer than a password can be"}
	}
	return passwordCredentials{username: login.NormalizeUsername(username), secret: secret}, nil
}

// passwordInRequest returns the name and the password in the fields of a login, or in its
// Authorization header.
func passwordInRequest(r *http.Request, f fields.Fields) (passwordCredentials, error) {
	n, there, readable := passwordInHeader(r)
	if !there {
		return passwordInFields(f)
	}
	for _, name := range []string{fieldUsername, fieldPassword} {
		if _, twice, err := f.Text(name); twice || err != nil {
			return passwordCredentials{}, &fields.Error{Status: http.StatusBadRequest, Field: name, Message: "is in the body and in the header Authorization; send it once"}
		}
	}
	if !readable {
		return passwordCredentials{}, login.ErrDenied
	}
	return n, nil
}

// parseAccountID returns the account_id in fields, or nil if there is none.
func parseAccountID(f fields.Fields, required bool) (*int64, error) {
	id, there, err := f.Integer(fieldAccountID, 1, 1<<53-1)
	switch {
	case err != nil:
		return nil, err
	case there:
		return &id, nil
	case required:
		return nil, &fields.Error{Status: http.StatusBadRequest, Field: fieldAccountID, Message: "is required of an integrator"}
	default:
		return nil, nil //nolint:nilnil // nil is a valid result
	}
}

// Logins authenticates users by name and password, and opens, refreshes and ends logins, for every
// API that does.
type Logins struct {
	*Base
	Service  *login.Service                // nil: there are no logins
	OnResult func(protocol, result string) // called with the result of a login; may be nil
}

// authenticateAtClient authenticates a user and chooses the client of the login. An account_id in
// the fields decides, and an integrator must send one. Next comes the client named preferred, if
// the user has an account there, and last the user's default account.
func (l *Logins) authenticateAtClient(r *http.Request, n passwordCredentials, f fields.Fields, preferred string) (login.User, login.Client, error) {
	id, err := parseAccountID(f, n.isIntegrator)
	if err != nil {
		return login.User{}, login.Client{}, err
	}
	u, err := l.authenticate(r, n)
	if err != nil {
		return login.User{}, login.Client{}, err
	}
	c, there := l.Service.ClientByName(u, preferred)
	if id != nil || !there {
		c, err = l.Service.Account(u, id)
	}
	if err != nil {
		l.reportRefusedLogin(r, u, err)
	}
	return u, c, err
}

// authenticate returns the user of a name and a password. It writes an audit event if the login is
// denied or rate limited.
func (l *Logins) authenticate(r *http.Request, n passwordCredentials) (login.User, error) {
	if !l.Verifier.IsFresh() { // the directory of users may be as stale as the index
		l.reportLogin(r, "Unavailable")
		return login.User{}, login.ErrUnavailable
	}
	u, err := l.Service.Authenticate(r.Context(), login.Attempt{Username: n.username, Password: n.secret, Source: l.limitAddress(r)})
	limited, isLimited := errors.AsType[*login.Limited](err)
	switch {
	case isLimited:
		l.auditFailedLogin(r, audit.Line{Verdict: "Limited", User: l.auditedUser(n), RetryAfter: limited.After.String()})
		l.reportLogin(r, "Limited")
	case errors.Is(err, login.ErrDenied):
		l.auditFailedLogin(r, audit.Line{Verdict: "Denied", User: l.auditedUser(n)})
		l.reportLogin(r, "Denied")
	case err != nil:
		l.reportLogin(r, "Unavailable")
	default:
		markConnAuthenticated(r.Context())
	}
	return u, err
}

// reportLogin reports the result of a login.
func (l *Logins) reportLogin(r *http.Request, result string) {
	if l.OnResult != nil {
		l.OnResult(protocolOf(r), result)
	}
}

// protocolOf returns the name of the login protocol that a path belongs to. Every other path that
// authenticates a user by name and password belongs to the management API.
func protocolOf(r *http.Request) string {
	path := strings.TrimPrefix(r.URL.Path, "/admin-api")
	for prefix, name := range map[string]string{"/auth/": "teletracker", "/security/": "spectrum", "/oauth2/": "oauth", "/account/": "funnelback"} {
		if strings.HasPrefix(path, prefix) {
			return name
		}
	}
	return "management"
}

// isLogin reports whether a credential of this kind comes from a login.
func isLogin(k token.Kind) bool { return k == token.Login || k == token.Session || k == token.Open }

// auditFailedLogin writes an audit event for a failed login.
func (l *Logins) auditFailedLogin(r *http.Request, line audit.Line) {
	line.Event, line.Protocol = audit.LoginFailed, protocolOf(r)
	l.Audit.WriteLimited(l.withOrigin(r, line))
}

// auditedUser returns the name of the User that a login tried, or an empty string if none exists.
// An unknown username is not logged: it may be a password in the wrong field.
func (l *Logins) auditedUser(n passwordCredentials) string {
	if u, ok := l.Service.Directory.ByUsername(n.username); ok {
		return u.Name
	}
	return ""
}

// openLogin opens a login, and writes an audit event.
func (l *Logins) openLogin(r *http.Request, u login.User, c login.Client, t login.Terms) (login.Opened, error) {
	o, err := l.Service.Open(r.Context(), u, c, t)
	if err != nil {
		l.reportRefusedLogin(r, u, err)
		return login.Opened{}, err
	}
	l.reportLogin(r, "LoggedIn")
	l.auditLogin(r, audit.Line{Event: audit.LoginSucceeded}, o)
	return o, nil
}

// reportRefusedLogin reports a login that an authenticated user may not open, and writes an audit
// event.
func (l *Logins) reportRefusedLogin(r *http.Request, u login.User, err error) {
	if errors.Is(err, login.ErrUnavailable) {
		l.reportLogin(r, "Unavailable")
		return
	}
	l.reportLogin(r, "Refused")
	l.auditFailedLogin(r, audit.Line{Verdict: "Refused", Reason: err.Error(), User: u.Name})
}

// auditLogin writes an audit event for an opened login.
func (l *Logins) auditLogin(r *http.Request, line audit.Line, o login.Opened) {
	line.User, line.Client, line.Kind, line.Token = o.User.Name, o.Client.Name, o.Token.Kind().String(), o.Record.Name()
	line.Protocol = protocolOf(r)
	l.Audit.Write(l.withOrigin(r, line))
}

// refreshLogin exchanges a refresh token and writes an audit event. If client is not empty, the
// session must be at that client.
func (l *Logins) refreshLogin(r *http.Request, f fields.Fields, client string) (login.Opened, error) {
	arrived := l.Now()
	text, err := f.Required(fieldRefresh)
	if err != nil {
		return login.Opened{}, err
	}
	if !l.Verifier.IsFresh() {
		return login.Opened{}, login.ErrUnavailable
	}
	presented, err := token.Parse(text)
	if err != nil {
		return login.Opened{}, login.ErrDenied
	}
	o, err := l.Service.Refresh(r.Context(), presented, client, l.limitAddress(r), arrived)
	if err != nil {
		l.auditFailedRefresh(r, presented, err)
		return login.Opened{}, err
	}
	markConnAuthenticated(r.Context())
	l.auditLogin(r, audit.Line{Event: audit.LoginRefreshed, Predecessor: o.Record.Predecessor}, o)
	return o, nil
}

// auditFailedRefresh writes an audit event for a refused refresh token. It names a record of the
// session, if the session exists or this replica knew it before it ended.
func (l *Logins) auditFailedRefresh(r *http.Request, presented token.Token, err error) {
	line := l.withOrigin(r, audit.Line{Event: audit.LoginRefreshFailed, Protocol: protocolOf(r), Verdict: "Denied"})
	if errors.Is(err, login.ErrUnavailable) {
		line.Verdict = "Unavailable"
	}
	if limited, isLimited := errors.AsType[*login.Limited](err); isLimited {
		line.Verdict, line.RetryAfter = "Limited", limited.After.String()
	}
	if denied, isKnown := errors.AsType[*login.Denied](err); isKnown {
		line.Token, line.Client, line.User = denied.Record.Name(), denied.Record.Client, denied.Record.User
	} else if live, isLive := l.Service.Session(r.Context(), presented); isLive {
		// A live session has deleted records too, one for each refresh.
		line.Token, line.Client, line.User = live.Name(), live.Client, live.User
	} else if k, ok := l.Verifier.KnownSession(presented.Family().Digest()); ok && k.Revoked {
		line.Event, line.Verdict, line.Endpoint, line.Protocol = audit.CredentialRevokedUse, verdictRevoked, endpointNames[endpointLogin], ""
		line.Token, line.Kind, line.Subject, line.Client, line.User = k.ID.String(), k.Kind.String(), k.Subject, k.Client, k.User
		line.RetryAfter = ""
	}
	l.Audit.WriteLimited(line)
}

// writeLoginError writes the response to an error of a login or of its fields.
func writeLoginError(w http.ResponseWriter, err error, how []string) {
	status, f := loginFault(w, err)
	if status == http.StatusUnauthorized && how != nil {
		w.Header()["Www-Authenticate"] = how
	}
	writeJSON(w, status, f)
}

// loginFault returns the status and the fault of an error, which all protocols share. It sets
// Retry-After where the caller may retry.
func loginFault(w http.ResponseWriter, err error) (int, fault) {
	field, isField := errors.AsType[*fields.Error](err)
	invalid, isInvalid := errors.AsType[*login.Invalid](err)
	forbidden, isForbidden := errors.AsType[*login.Forbidden](err)
	limited, isLimited := errors.AsType[*login.Limited](err)
	if used, isSpent := errors.AsType[*budgetExceededError](err); isSpent {
		limited, isLimited = &login.Limited{After: used.after}, true
	}
	switch {
	case isField:
		return field.Status, fault{Error: "invalid_request", Description: field.Error(), Field: field.Field}
	case isInvalid:
		return http.StatusBadRequest, fault{Error: "invalid_request", Description: invalid.Error(), Field: invalid.Field}
	case isForbidden:
		return http.StatusForbidden, fault{Error: "access_denied", Description: forbidden.Message}
	case isLimited:
		w.Header()["Retry-After"] = []string{retryAfterSeconds(limited.After)}
		return http.StatusTooManyRequests, fault{Error: "too_many_requests", Description: "too many attempts; wait, and try again"}
	case errors.Is(err, login.ErrDenied):
		return http.StatusUnauthorized, fault{Error: "unauthorized", Description: "the name, the password or the token is not accepted"}
	case errors.Is(err, errNoAccountAtClient):
		return http.StatusNotFound, fault{Error: "not_found", Description: "there is nothing at this path"}
	default:
		w.Header()["Retry-After"] = retryAfterSoon
		return http.StatusServiceUnavailable, fault{Error: "temporarily_unavailable", Description: "it cannot be done now; ask again"}
	}
}

// retryAfterSeconds returns a duration in whole seconds, rounded up and at least 1, for a header.
func retryAfterSeconds(d time.Duration) string {
	return strconv.Itoa(max(1, int(math.Ceil(d.Seconds()))))
}

// endLogin ends the login that a request presents in a header or a cookie. It refuses other kinds
// of credentials: a caller that logs out with one has mistaken it for a login.
func (l *Logins) endLogin(r *http.Request) error {
	if isCrossSite(r) { // a browser sends cookies with requests that pages of other sites make
		return &login.Forbidden{Message: "a page of another site asks for this; only a page of this site, or a program, ends a login"}
	}
	p := presentedInHeadersAndCookies(r.Header)
	who, verdict := l.verifyCredential(r.Context(), endpointLogout, p.text, verify.Facts{Session: p.session}, l.origin(r))
	switch {
	case verdict.IsUndecided():
		return login.ErrUnavailable
	case verdict != verify.Valid:
		return login.ErrDenied
	case who.User == nil || !isLogin(who.Kind):
		return &login.Forbidden{Message: "this is not a login; to end an application token, revoke it"}
	}
	_, digest, err := token.DigestOf(p.text)
	if err == nil {
		err = l.Service.End(r.Context(), digest)
	}
	if err == nil {
		l.Audit.Write(l.withOrigin(r, audit.Line{
			Event: audit.LoginEnded, Protocol: protocolOf(r),
			Token: who.ID.String(), Kind: who.Kind.String(), Client: who.Client.Name, User: who.User.Name, By: byHolder,
		}))
	}
	return err
}
