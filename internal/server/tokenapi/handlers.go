package tokenapi

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/apptoken/operator/internal/audit"
	"github.com/apptoken/operator/internal/management"
	"github.com/apptoken/operator/internal/server/decode"
	"github.com/apptoken/operator/internal/server/endpoint"
	"github.com/apptoken/operator/internal/server/loginapi"
	"github.com/apptoken/operator/internal/verify"
)

// This file serves the application tokens of a user (Funnelback 15) and of a client (Funnelback 16)
// over HTTP: docs/login-protocols/funnelback.md and docs/login-protocols/squiz-dxp.md.

// permissionTokens lets a caller manage application tokens: all of a client, or a user's own.
const permissionTokens = "sec.application-token.non-expiring.create"

// maxManagementBody is the maximum body size of a management request, in bytes.
const maxManagementBody = 64 << 10

// maxIdempotencyKey is the maximum length of an Idempotency-Key, in bytes.
const maxIdempotencyKey = 255

// managementRequest is a management request of an authenticated caller.
type managementRequest struct {
	endpoint.Principal
	scope management.Scope
	name  string // of the token; empty for requests about all tokens
}

// managementHandler serves a management request. If it returns an error, the caller writes the
// error response.
type managementHandler func(http.ResponseWriter, *http.Request, managementRequest) error

// Handlers serves the management API.
type Handlers struct {
	*loginapi.Logins
	Tokens management.API
}

// authenticateManagement authenticates the caller and sets the scope of the request: the client in
// the path, or the user's own tokens where the path names no client. It refuses callers of other
// clients.
func (h *Handlers) authenticateManagement(serve managementHandler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		client := r.PathValue("client")
		p, err := h.AuthenticatePrincipal(w, r, client)
		r, cancel := withAPITimeout(r)
		defer cancel()
		m := managementRequest{Principal: p, scope: management.Scope{Client: client}, name: r.PathValue("name")}
		switch {
		case err != nil: // AuthenticatePrincipal has written the response
		case client == "" && p.User == nil:
			endpoint.WriteError(w, http.StatusForbidden, "access_denied", "this path is for the tokens of a user, and the caller presents a token of a client; tokens of a client are at /application-tokens/v1/clients/{client}")
		case client == "" && p.IsNarrowed && makesUserToken(r):
			endpoint.WriteError(w, http.StatusForbidden, "access_denied", "a token of a user holds all that the user holds, and this login is narrowed to a scope; log in without a scope")
		case client == "" && p.IsNarrowed && !p.Holds(permissionTokens):
			h.writeErrorAndAudit(w, r, m, errPermission) // without a scope, a user needs no permission here
		case client == "":
			m.scope = management.Scope{Client: p.Client.Name, User: p.User.Name}
			h.writeErrorAndAudit(w, r, m, serve(w, r, m))
		case client != p.Client.Name: // another client's tokens look like tokens that do not exist
			endpoint.WriteNotFound(w)
		default:
			h.writeErrorAndAudit(w, r, m, serve(w, r, m))
		}
	}
}

// writeErrorAndAudit writes the response to an error of an authenticated caller. It also writes an
// audit event that names a caller who lacks a permission or asks for more than it holds. A denied
// rotation by a holder has no field, and auditRefusedSelfRotation writes its event.
func (h *Handlers) writeErrorAndAudit(w http.ResponseWriter, r *http.Request, m managementRequest, err error) {
	denied, isDenied := errors.AsType[*management.Denied](err)
	if errors.Is(err, errPermission) || isDenied && denied.Field != "" {
		h.AuditForbiddenCaller(r, endpoint.Manage, verify.PermissionMissing, m.Identity)
	}
	writeManagementError(w, err)
}

// withAPITimeout returns a request that waits for the API server for at most endpoint.MaxAPIWait.
// It goes on when the client disconnects, so that a write that was started is completed.
func withAPITimeout(r *http.Request) (*http.Request, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), endpoint.MaxAPIWait)
	return r.WithContext(ctx), cancel
}

// requireTokensPermission requires permissionTokens. It checks the permission before anything is
// read, so that a caller without it does not learn whether a token exists.
func requireTokensPermission(serve managementHandler) managementHandler {
	return func(w http.ResponseWriter, r *http.Request, m managementRequest) error {
		if !m.Holds(permissionTokens) {
			return errPermission
		}
		return serve(w, r, m)
	}
}

// findToken returns the token that a request is about. A caller at one client has no access to the
// same user's tokens at another client: its permissions there differ from those here.
func (h *Handlers) findToken(r *http.Request, m managementRequest) (management.Token, error) {
	t, err := h.Tokens.Get(r.Context(), m.scope, m.name)
	if err == nil && t.Client != m.scope.Client {
		err = management.ErrNotFound
	}
	if err != nil {
		return management.Token{}, err
	}
	return t, nil
}

// writeManagementError writes the response to an error.
func writeManagementError(w http.ResponseWriter, err error) {
	refused, isRefused := errors.AsType[*management.Refused](err)
	used, isSpent := errors.AsType[*endpoint.BudgetExceededError](err)
	denied, isDenied := errors.AsType[*management.Denied](err)
	soon, isSoon := errors.AsType[*management.TooSoon](err)
	switch {
	case err == nil:
	case errors.Is(err, errPermission):
		w.Header()["Www-Authenticate"] = endpoint.InsufficientScopeChallenge
		endpoint.WriteError(w, http.StatusForbidden, "insufficient_scope", "the caller does not hold "+permissionTokens+" at this client")
	case isRefused && refused.QuotaExceeded:
		endpoint.WriteError(w, http.StatusConflict, "quota_exceeded", refused.Error())
	case isRefused:
		endpoint.WriteJSON(w, http.StatusBadRequest, endpoint.Fault{Error: "invalid_request", Description: refused.Error(), Field: refused.Field})
	case isSpent:
		endpoint.WriteTooManyRequests(w, used.After)
	case isDenied && denied.Permission != "":
		w.Header()["Www-Authenticate"] = endpoint.InsufficientScopeChallenge
		endpoint.WriteJSON(w, http.StatusForbidden, endpoint.Fault{Error: "insufficient_scope", Description: denied.Error(), Field: denied.Field})
	case isDenied:
		endpoint.WriteJSON(w, http.StatusForbidden, endpoint.Fault{Error: "access_denied", Description: denied.Error(), Field: denied.Field})
	case errors.Is(err, management.ErrNotFound):
		endpoint.WriteNotFound(w)
	case errors.Is(err, management.ErrExists):
		endpoint.WriteError(w, http.StatusConflict, "conflict", "a token of this name exists, and its text cannot be shown again; rotate it, or delete it and create it again")
	case isSoon:
		w.Header()["Retry-After"] = []string{endpoint.RetryAfterSeconds(soon.After)}
		endpoint.WriteError(w, http.StatusTooManyRequests, "too_many_requests", soon.Message+"; wait, and try again")
	case errors.Is(err, management.ErrRetryExpired):
		endpoint.WriteError(w, http.StatusConflict, "conflict", "this request was served before: the token in its response is in use, or the time for a retry is over")
	case errors.Is(err, management.ErrSuperseded):
		endpoint.WriteError(w, http.StatusConflict, "conflict", "another request has rotated the calling token; use the current version")
	case errors.Is(err, management.ErrUnavailable):
		endpoint.WriteUnavailable(w)
	default:
		loginapi.WriteLoginError(w, err, nil)
	}
}

var errPermission = errors.New("the caller lacks the permission")

// listTokens serves GET of the collection.
func (h *Handlers) listTokens(w http.ResponseWriter, r *http.Request, m managementRequest) error {
	end, err := h.AcquireBudget(m.Principal)
	if err != nil {
		return err
	}
	defer end()
	all, err := h.Tokens.List(r.Context(), m.scope)
	if err != nil {
		return err
	}
	list := tokenListResponse{Data: []tokenView{}}
	for _, t := range all {
		if t.Client == m.scope.Client { // see found
			list.Data = append(list.Data, viewOf(t))
		}
	}
	endpoint.WriteJSON(w, http.StatusOK, list)
	return nil
}

// getToken serves GET of a token.
func (h *Handlers) getToken(w http.ResponseWriter, r *http.Request, m managementRequest) error {
	end, err := h.AcquireBudget(m.Principal)
	if err != nil {
		return err
	}
	defer end()
	t, err := h.findToken(r, m)
	if err != nil {
		return err
	}
	endpoint.WriteJSON(w, http.StatusOK, tokenResponse{Data: viewOf(t)})
	return nil
}

// putToken serves PUT of a token, which creates it.
func (h *Handlers) putToken(w http.ResponseWriter, r *http.Request, m managementRequest) error {
	body, err := decode.ReadInto[createTokenBody](w, r, maxManagementBody)
	if err != nil {
		return err
	}
	wanted := management.TokenSpec{Name: m.name, Roles: body.Roles, Permissions: body.Permissions, SourceRanges: body.SourceRanges}
	if body.Lifetime != nil {
		if wanted.Lifetime, err = parseLifetime(*body.Lifetime); err != nil {
			return err
		}
	}
	end, err := h.AcquireBudget(m.Principal)
	if err != nil {
		return err
	}
	defer end()
	made, err := h.Tokens.Create(r.Context(), managementCaller(m.Principal), m.scope, wanted)
	if err != nil {
		return err
	}
	h.writeIssued(w, r, m, audit.TokenCreated, made)
	return nil
}

// parseLifetime parses a lifetime of at least one second, in whole seconds.
func parseLifetime(text string) (time.Duration, error) {
	v, err := time.ParseDuration(text)
	if err != nil || v < time.Second || v%time.Second != 0 || strings.ContainsAny(text, "+-.") {
		return 0, &decode.Error{
			Status: http.StatusBadRequest, Field: "lifetime",
			Message: "must be whole hours, minutes and seconds, such as 720h or 1h30m, and more than zero; leave it out for a token that does not expire",
		}
	}
	return v, nil
}

// writeIssued writes an audit event and the response that carries the new token.
func (h *Handlers) writeIssued(w http.ResponseWriter, r *http.Request, m managementRequest, what audit.Event, made management.Issued) {
	h.Audit.Write(h.WithOrigin(r, audit.Line{
		Event: what, Token: made.Token.ID, Object: made.Token.Namespace + "/" + made.Token.Object,
		Client: made.Token.Client, User: made.Token.User, By: m.AuditName(),
	}))
	status, response := http.StatusOK, issuedTokenResponse{Token: viewOf(made.Token)}
	if made.Secret.Kind() == 0 { // the operator writes the token into a Secret later
		status = http.StatusAccepted
	} else {
		response.Data, response.Password = new(made.Secret.Reveal()), made.Secret.Reveal()
		response.Username = made.Token.Client + "~" + made.Token.Name
	}
	endpoint.WriteJSON(w, status, response)
}

// auditChange writes an audit event for a change that issues no new token.
func (h *Handlers) auditChange(r *http.Request, m managementRequest, what audit.Event, t management.Token) {
	h.Audit.Write(h.WithOrigin(r, audit.Line{
		Event: what, Token: t.ID, Object: t.Namespace + "/" + t.Object, Client: m.scope.Client, User: m.scope.User, By: m.AuditName(),
	}))
}

// patchToken serves PATCH of a token.
func (h *Handlers) patchToken(w http.ResponseWriter, r *http.Request, m managementRequest) error {
	body, err := decode.ReadInto[changeTokenBody](w, r, maxManagementBody)
	if err != nil {
		return err
	}
	end, err := h.AcquireBudget(m.Principal)
	if err != nil {
		return err
	}
	defer end()
	if _, err := h.findToken(r, m); err != nil {
		return err
	}
	t, err := h.Tokens.Change(r.Context(), managementCaller(m.Principal), m.scope, m.name, management.Change(body))
	if err != nil {
		return err
	}
	h.auditChange(r, m, audit.TokenChanged, t)
	endpoint.WriteJSON(w, http.StatusOK, tokenResponse{Data: viewOf(t)})
	return nil
}

// deleteToken serves DELETE of a token, which revokes it.
func (h *Handlers) deleteToken(w http.ResponseWriter, r *http.Request, m managementRequest) error {
	end, err := h.AcquireBudget(m.Principal)
	if err != nil {
		return err
	}
	defer end()
	t, err := h.findToken(r, m)
	if err != nil {
		return err
	}
	if err := h.Tokens.Revoke(r.Context(), m.scope, m.name); err != nil {
		return err
	}
	h.auditChange(r, m, audit.TokenRevoked, t)
	endpoint.WriteJSON(w, http.StatusOK, revoked)
	return nil
}

// cloneToken serves POST …/clone.
func (h *Handlers) cloneToken(w http.ResponseWriter, r *http.Request, m managementRequest) error {
	body, err := decode.ReadInto[cloneTokenBody](w, r, maxManagementBody)
	if err != nil {
		return err
	}
	if body.Name == "" {
		return &decode.Error{Status: http.StatusBadRequest, Field: "name", Message: "is required: it names the new token"}
	}
	key, err := m.idempotencyKey(r)
	if err != nil {
		return err
	}
	end, err := h.AcquireBudget(m.Principal)
	if err != nil {
		return err
	}
	defer end()
	if _, err := h.findToken(r, m); err != nil {
		return err
	}
	made, err := h.Tokens.Clone(r.Context(), managementCaller(m.Principal), m.scope, m.name, body.Name, key)
	if err != nil {
		return err
	}
	h.writeIssued(w, r, m, audit.TokenCloned, made)
	return nil
}
