package loginapi

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/apptoken/operator/internal/audit"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/login/password"
	"github.com/apptoken/operator/internal/server/decode"
	"github.com/apptoken/operator/internal/server/endpoint"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
)

// Field names of the login protocols.
const (
	FieldUsername   = "username"
	FieldPassword   = "password"
	FieldAccountID  = "account_id"
	fieldAuthOnly   = "auth_only"
	fieldRememberMe = "remember-me"
	FieldRefresh    = "refresh_token"

	FieldGrantType    = "grant_type"
	FieldClientID     = "client_id"
	FieldClientSecret = "client_secret"
	FieldScope        = "scope"
)

// maxLoginBody is the maximum body size of a login, in bytes.
const maxLoginBody = 16 << 10

// ReadLoginFields reads the fields of a login. Usernames and secrets are accepted in the body
// alone, since URLs end up in access logs.
func ReadLoginFields(w http.ResponseWriter, r *http.Request, known ...string) (decode.Fields, error) {
	addressed, err := decode.Read(w, r, 0, decode.Query, known...)
	if err != nil {
		return decode.Fields{}, err
	}
	for _, name := range []string{FieldUsername, FieldPassword, FieldRefresh, FieldClientSecret} {
		if _, there, _ := addressed.Text(name); there { //nolint:errcheck // a query field is always text
			return decode.Fields{}, &decode.Error{Status: http.StatusBadRequest, Field: name, Message: "must be in the body, and not in the address"}
		}
	}
	return readQueryAndBody(w, r, known...)
}

// readQueryAndBody reads the fields of a login, secrets included, in the query and in the body.
func readQueryAndBody(w http.ResponseWriter, r *http.Request, known ...string) (decode.Fields, error) {
	return decode.Read(w, r, maxLoginBody, decode.Query|decode.Body, known...)
}

// PasswordInFields returns the name and the password in fields.
func PasswordInFields(f decode.Fields) (endpoint.PasswordCredentials, error) {
	username, err := f.Required(FieldUsername)
	if err != nil {
		return endpoint.PasswordCredentials{}, err
	}
	if len(username) > endpoint.MaxUsername {
		return endpoint.PasswordCredentials{}, &decode.Error{Status: http.StatusBadRequest, Field: FieldUsername, Message: "is too long"}
	}
	text, err := f.Required(FieldPassword)
	if err != nil {
		return endpoint.PasswordCredentials{}, err
	}
	secret, err := password.ParseSecret(text)
	if err != nil {
		return endpoint.PasswordCredentials{}, &decode.Error{Status: http.StatusBadRequest, Field: FieldPassword, Message: "is longer than a password can be"}
	}
	return endpoint.PasswordCredentials{Username: login.NormalizeUsername(username), Secret: secret}, nil
}

// passwordInRequest returns the name and the password in the fields of a login, or in its
// Authorization header. Fields that have both count before Basic, which a program may add to each
// request from .netrc. A request with one of the two in its fields, or with Integrator beside them,
// is refused: its caller would not get the login that it means.
func passwordInRequest(r *http.Request, f decode.Fields) (endpoint.PasswordCredentials, error) {
	n, there, readable := endpoint.PasswordInHeader(r)
	if !there || readable && !n.IsIntegrator && hasNameAndPassword(f) {
		return PasswordInFields(f)
	}
	for _, name := range []string{FieldUsername, FieldPassword} {
		if _, twice, err := f.Text(name); twice || err != nil {
			return endpoint.PasswordCredentials{}, &decode.Error{Status: http.StatusBadRequest, Field: name, Message: "is in the body and in the header Authorization; send it once"}
		}
	}
	if !readable {
		return endpoint.PasswordCredentials{}, login.ErrDenied
	}
	return n, nil
}

// hasNameAndPassword reports whether fields have a username and a password, neither of them empty.
func hasNameAndPassword(f decode.Fields) bool {
	for _, name := range []string{FieldUsername, FieldPassword} {
		if text, _, err := f.Text(name); err != nil || text == "" {
			return false
		}
	}
	return true
}

// parseAccountID returns the account_id in fields, or nil if there is none.
func parseAccountID(f decode.Fields, required bool) (*int64, error) {
	id, there, err := f.Integer(FieldAccountID, 1, 1<<53-1)
	switch {
	case err != nil:
		return nil, err
	case there:
		return &id, nil
	case required:
		return nil, &decode.Error{Status: http.StatusBadRequest, Field: FieldAccountID, Message: "is required of an integrator"}
	default:
		return nil, nil //nolint:nilnil // nil is a valid result
	}
}

// Logins authenticates users by name and password, and opens, refreshes and ends logins, for every
// API that does.
type Logins struct {
	*endpoint.Base
	Service  *login.Service                // nil: there are no logins
	OnResult func(protocol, result string) // called with the result of a login; may be nil
}

// AuthenticateAtClient authenticates a user and chooses the client of the login. An account_id in
// the fields decides, and an integrator must send one. Next comes the client named preferred, if
// the user has an account there, and last the user's default account.
func (l *Logins) AuthenticateAtClient(r *http.Request, n endpoint.PasswordCredentials, f decode.Fields, preferred string) (login.User, login.Client, error) {
	id, err := parseAccountID(f, n.IsIntegrator)
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
		l.ReportRefusedLogin(r, u, err)
	}
	return u, c, err
}

// authenticate returns the user of a name and a password. It writes an audit event if the login is
// denied or rate limited.
func (l *Logins) authenticate(r *http.Request, n endpoint.PasswordCredentials) (login.User, error) {
	if !l.Verifier.IsFresh() { // the directory of users may be as stale as the index
		l.reportLogin(r, "Unavailable")
		return login.User{}, login.ErrUnavailable
	}
	u, err := l.checkPassword(r.Context(), n, login.Attempt{Username: n.Username, Password: n.Secret, Source: l.LimitAddress(r)})
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
		endpoint.MarkConnAuthenticated(r.Context())
	}
	return u, err
}

// checkPassword returns the user of a name and a password, by a check that may answer the request.
func (l *Logins) checkPassword(ctx context.Context, n endpoint.PasswordCredentials, a login.Attempt) (login.User, error) {
	switch n.Reuse {
	case endpoint.ReuseRecent:
		return l.Service.AuthenticateRecent(ctx, a)
	case endpoint.ReuseRunning:
		return l.Service.AuthenticateOnce(ctx, a)
	default:
		return l.Service.Authenticate(ctx, a)
	}
}

// reportLogin reports the result of a login.
func (l *Logins) reportLogin(r *http.Request, result string) {
	if l.OnResult != nil {
		l.OnResult(ProtocolOf(r), result)
	}
}

// ProtocolOf returns the name of the login protocol that a path belongs to. Every other path that
// authenticates a user by name and password belongs to the management API.
func ProtocolOf(r *http.Request) string {
	path := strings.TrimPrefix(r.URL.Path, "/admin-api")
	for prefix, name := range map[string]string{"/auth/": "teletracker", "/security/": "spectrum", "/oauth2/": "oauth", "/account/": "funnelback"} {
		if strings.HasPrefix(path, prefix) {
			return name
		}
	}
	return "management"
}

// IsLogin reports whether a credential of this kind comes from a login.
func IsLogin(k token.Kind) bool { return k == token.Login || k == token.Session || k == token.Open }

// auditFailedLogin writes an audit event for a failed login.
func (l *Logins) auditFailedLogin(r *http.Request, line audit.Line) {
	line.Event, line.Protocol = audit.LoginFailed, ProtocolOf(r)
	l.Audit.WriteLimited(l.WithOrigin(r, line))
}

// auditedUser returns the name of the User that a login tried, or an empty string if none exists.
// An unknown username is not logged: it may be a password in the wrong field.
func (l *Logins) auditedUser(n endpoint.PasswordCredentials) string {
	if u, ok := l.Service.Directory.ByUsername(n.Username); ok {
		return u.Name
	}
	return ""
}

// OpenLogin opens a login, and writes an audit event.
func (l *Logins) OpenLogin(r *http.Request, u login.User, c login.Client, t login.Terms) (login.Opened, error) {
	o, err := l.Service.Open(r.Context(), u, c, t)
	if err != nil {
		l.ReportRefusedLogin(r, u, err)
		return login.Opened{}, err
	}
	l.reportLogin(r, "LoggedIn")
	l.auditLogin(r, audit.Line{Event: audit.LoginSucceeded}, o)
	return o, nil
}

// ReportRefusedLogin reports a login that an authenticated user may not open, and writes an audit
// event.
func (l *Logins) ReportRefusedLogin(r *http.Request, u login.User, err error) {
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
	line.Protocol = ProtocolOf(r)
	l.Audit.Write(l.WithOrigin(r, line))
}

// RefreshLogin exchanges the refresh token in fields by a request that names the rest, and writes
// an audit event.
func (l *Logins) RefreshLogin(r *http.Request, f decode.Fields, req login.RefreshRequest) (login.Opened, error) {
	arrived := l.Now()
	text, err := f.Required(FieldRefresh)
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
	req.Presented, req.Source, req.Arrived = presented, l.LimitAddress(r), arrived
	o, err := l.Service.Exchange(r.Context(), req)
	if err != nil {
		l.auditFailedRefresh(r, presented, err)
		return login.Opened{}, err
	}
	endpoint.MarkConnAuthenticated(r.Context())
	l.auditLogin(r, audit.Line{Event: audit.LoginRefreshed, Predecessor: o.Record.Predecessor}, o)
	return o, nil
}

// auditFailedRefresh writes an audit event for a refused refresh token. It names a record of the
// session, if the session exists or this replica knew it before it ended.
func (l *Logins) auditFailedRefresh(r *http.Request, presented token.Token, err error) {
	line := l.WithOrigin(r, audit.Line{Event: audit.LoginRefreshFailed, Protocol: ProtocolOf(r), Verdict: "Denied"})
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
		line.Event, line.Verdict, line.Endpoint, line.Protocol = audit.CredentialRevokedUse, endpoint.VerdictRevoked, endpoint.Names[endpoint.Login], ""
		line.Token, line.Kind, line.Subject, line.Client, line.User = k.ID.String(), k.Kind.String(), k.Subject, k.Client, k.User
		line.RetryAfter = ""
	}
	l.Audit.WriteLimited(line)
}

// WriteLoginError writes the response to an error of a login or of its fields.
func WriteLoginError(w http.ResponseWriter, err error, how []string) {
	status, f := LoginFault(w, err)
	if status == http.StatusUnauthorized && how != nil {
		w.Header()["Www-Authenticate"] = how
	}
	endpoint.WriteJSON(w, status, f)
}

// LoginFault returns the status and the fault of an error, which all protocols share. It sets
// Retry-After where the caller may retry.
func LoginFault(w http.ResponseWriter, err error) (int, endpoint.Fault) {
	field, isField := errors.AsType[*decode.Error](err)
	invalid, isInvalid := errors.AsType[*login.Invalid](err)
	forbidden, isForbidden := errors.AsType[*login.Forbidden](err)
	limited, isLimited := errors.AsType[*login.Limited](err)
	if used, isSpent := errors.AsType[*endpoint.BudgetExceededError](err); isSpent {
		limited, isLimited = &login.Limited{After: used.After}, true
	}
	switch {
	case isField:
		return field.Status, endpoint.Fault{Error: "invalid_request", Description: field.Error(), Field: field.Field}
	case isInvalid:
		return http.StatusBadRequest, endpoint.Fault{Error: "invalid_request", Description: invalid.Error(), Field: invalid.Field}
	case isForbidden:
		return http.StatusForbidden, endpoint.Fault{Error: "access_denied", Description: forbidden.Message}
	case isLimited:
		w.Header()["Retry-After"] = []string{endpoint.RetryAfterSeconds(limited.After)}
		return http.StatusTooManyRequests, endpoint.Fault{Error: "too_many_requests", Description: "too many attempts; wait, and try again"}
	case errors.Is(err, login.ErrDenied):
		return http.StatusUnauthorized, endpoint.Fault{Error: "unauthorized", Description: "the name, the password or the token is not accepted"}
	case errors.Is(err, errNoAccountAtClient):
		return http.StatusNotFound, endpoint.Fault{Error: "not_found", Description: "there is nothing at this path"}
	default:
		w.Header()["Retry-After"] = endpoint.RetryAfterSoon
		return http.StatusServiceUnavailable, endpoint.Fault{Error: "temporarily_unavailable", Description: "it cannot be done now; ask again"}
	}
}

// endLogin ends the login that a request presents in a header or a cookie. It refuses other kinds
// of credentials: a caller that logs out with one has mistaken it for a login.
func (l *Logins) endLogin(r *http.Request) error {
	p := endpoint.CredentialsInHeadersAndCookies(r.Header)
	// A browser sends cookies with requests that pages of other origins make. That holds for
	// allowed pages too.
	if endpoint.IsCrossSite(r) && endpoint.CredentialsInHeaders(r.Header).Text != p.Text {
		return &login.Forbidden{Message: "a page of another origin asks for this, and a cookie ends no login for it; the page must send the token in the header Authorization"}
	}
	who, verdict := l.VerifyCredential(r.Context(), endpoint.Logout, p.Text, verify.Facts{Session: p.Session}, l.Origin(r))
	switch {
	case verdict.IsUndecided():
		return login.ErrUnavailable
	case verdict != verify.Valid:
		return login.ErrDenied
	case who.User == nil || !IsLogin(who.Kind):
		return &login.Forbidden{Message: "this is not a login; to end an application token, revoke it"}
	}
	_, digest, err := token.DigestOf(p.Text)
	if err == nil {
		err = l.Service.End(r.Context(), digest)
	}
	if err == nil {
		l.Audit.Write(l.WithOrigin(r, audit.Line{
			Event: audit.LoginEnded, Protocol: ProtocolOf(r),
			Token: who.ID.String(), Kind: who.Kind.String(), Client: who.Client.Name, User: who.User.Name, By: ByHolder,
		}))
	}
	return err
}

// ByHolder is the audit log's name for a caller that ended a login with a credential of that login.
const ByHolder = "holder"
