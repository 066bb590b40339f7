package server

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/apptoken/operator/internal/audit"
	"github.com/apptoken/operator/internal/management"
	"github.com/apptoken/operator/internal/server/fields"
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
	principal
	scope management.Scope
	name  string // of the token; empty for requests about all tokens
}

// managementHandler serves a management request. If it returns an error, the caller writes the
// error response.
type managementHandler func(http.ResponseWriter, *http.Request, managementRequest) error

// TokenAPI serves the management API.
type TokenAPI struct {
	*Logins
	Tokens management.API
}

// authenticateManagement authenticates the caller and sets the scope of the request: the client in
// the path, or the user's own tokens where the path names no client. It refuses callers of other
// clients.
func (h *TokenAPI) authenticateManagement(serve managementHandler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		client := r.PathValue("client")
		p, err := h.authenticatePrincipal(w, r, client)
		r, cancel := withAPITimeout(r)
		defer cancel()
		m := managementRequest{principal: p, scope: management.Scope{Client: client}, name: r.PathValue("name")}
		switch {
		case err != nil: // authenticatePrincipal has written the response
		case client == "" && p.User == nil:
			writeError(w, http.StatusForbidden, "access_denied", "this path is for the tokens of a user, and the caller presents a token of a client; tokens of a client are at /application-tokens/v1/clients/{client}")
		case client == "":
			m.scope = management.Scope{Client: p.Client.Name, User: p.User.Name}
			h.writeErrorAndAudit(w, r, m, serve(w, r, m))
		case client != p.Client.Name: // another client's tokens look like tokens that do not exist
			writeNotFound(w)
		default:
			h.writeErrorAndAudit(w, r, m, serve(w, r, m))
		}
	}
}

// writeErrorAndAudit is finish for an authenticated caller. It writes an audit event that names a
// caller who lacks a permission or asks for more than it holds. A denied rotation by a holder has
// no field, and auditRefusedSelfRotation writes its event.
func (h *TokenAPI) writeErrorAndAudit(w http.ResponseWriter, r *http.Request, m managementRequest, err error) {
	denied, isDenied := errors.AsType[*management.Denied](err)
	if errors.Is(err, errPermission) || isDenied && denied.Field != "" {
		h.auditForbiddenCaller(r, endpointManage, verify.PermissionMissing, m.Identity)
	}
	writeManagementError(w, err)
}

// withAPITimeout returns a request that waits for the API server for at most maxAPIWait. It goes on
// when the client disconnects, so that a write that was started is completed.
func withAPITimeout(r *http.Request) (*http.Request, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), maxAPIWait)
	return r.WithContext(ctx), cancel
}

// requireTokensPermission requires permissionTokens. It checks the permission before anything is
// read, so that a caller without it does not learn whether a token exists.
func requireTokensPermission(serve managementHandler) managementHandler {
	return func(w http.ResponseWriter, r *http.Request, m managementRequest) error {
		if !m.holds(permissionTokens) {
			return errPermission
		}
		return serve(w, r, m)
	}
}

// findToken returns the token that a request is about. A caller at one client has no access to the
// same user's tokens at another client: its permissions there differ from those here.
func (h *TokenAPI) findToken(r *http.Request, m managementRequest) (management.Token, error) {
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
	used, isSpent := errors.AsType[*budgetExceededError](err)
	denied, isDenied := errors.AsType[*management.Denied](err)
	soon, isSoon := errors.AsType[*management.TooSoon](err)
	switch {
	case err == nil:
	case errors.Is(err, errPermission):
		w.Header()["Www-Authenticate"] = insufficientScopeChallenge
		writeError(w, http.StatusForbidden, "insufficient_scope", "the caller does not hold "+permissionTokens+" at this client")
	case isRefused && refused.QuotaExceeded:
		writeError(w, http.StatusConflict, "quota_exceeded", refused.Error())
	case isRefused:
		writeJSON(w, http.StatusBadRequest, fault{Error: "invalid_request", Description: refused.Error(), Field: refused.Field})
	case isSpent:
		writeTooManyRequests(w, used.after)
	case isDenied && denied.Permission != "":
		w.Header()["Www-Authenticate"] = insufficientScopeChallenge
		writeJSON(w, http.StatusForbidden, fault{Error: "insufficient_scope", Description: denied.Error(), Field: denied.Field})
	case isDenied:
		writeJSON(w, http.StatusForbidden, fault{Error: "access_denied", Description: denied.Error(), Field: denied.Field})
	case errors.Is(err, management.ErrNotFound):
		writeNotFound(w)
	case errors.Is(err, management.ErrExists):
		writeError(w, http.StatusConflict, "conflict", "a token of this name exists, and its text cannot be shown again; rotate it, or delete it and create it again")
	case isSoon:
		w.Header()["Retry-After"] = []string{retryAfterSeconds(soon.After)}
		writeError(w, http.StatusTooManyRequests, "too_many_requests", soon.Message+"; wait, and try again")
	case errors.Is(err, management.ErrRetryExpired):
		writeError(w, http.StatusConflict, "conflict", "this request was served before: the token in its response is in use, or the time for a retry is over")
	case errors.Is(err, management.ErrSuperseded):
		writeError(w, http.StatusConflict, "conflict", "another request has rotated the calling token; use the current version")
	case errors.Is(err, management.ErrUnavailable):
		writeUnavailable(w)
	default:
		writeLoginError(w, err, nil)
	}
}

var errPermission = errors.New("the caller lacks the permission")

func (p principal) holds(permission string) bool {
	return verify.CheckRequirements(p.Held, verify.Facts{Permissions: []string{permission}}) == verify.Valid
}

// listTokens serves GET of the collection.
func (h *TokenAPI) listTokens(w http.ResponseWriter, r *http.Request, m managementRequest) error {
	end, err := h.acquireBudget(m.principal)
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
	writeJSON(w, http.StatusOK, list)
	return nil
}

// getToken serves GET of a token.
func (h *TokenAPI) getToken(w http.ResponseWriter, r *http.Request, m managementRequest) error {
	end, err := h.acquireBudget(m.principal)
	if err != nil {
		return err
	}
	defer end()
	t, err := h.findToken(r, m)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, tokenResponse{viewOf(t)})
	return nil
}

// putToken serves PUT of a token, which creates it.
func (h *TokenAPI) putToken(w http.ResponseWriter, r *http.Request, m managementRequest) error {
	body, err := fields.ReadInto[createTokenBody](w, r, maxManagementBody)
	if err != nil {
		return err
	}
	wanted := management.TokenSpec{Name: m.name, Roles: body.Roles, Permissions: body.Permissions, SourceRanges: body.SourceRanges}
	if body.Lifetime != nil {
		if wanted.Lifetime, err = parseLifetime(*body.Lifetime); err != nil {
			return err
		}
	}
	end, err := h.acquireBudget(m.principal)
	if err != nil {
		return err
	}
	defer end()
	made, err := h.Tokens.Create(r.Context(), m.managementCaller(), m.scope, wanted)
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
		return 0, &fields.Error{
			Status: http.StatusBadRequest, Field: "lifetime",
			Message: "must be whole hours, minutes and seconds, such as 720h or 1h30m, and more than zero; leave it out for a token that does not expire",
		}
	}
	return v, nil
}

// writeIssued writes an audit event and the response that carries the new token.
func (h *TokenAPI) writeIssued(w http.ResponseWriter, r *http.Request, m managementRequest, what audit.Event, made management.Issued) {
	h.Audit.Write(h.withOrigin(r, audit.Line{
		Event: what, Token: made.Token.ID, Object: made.Token.Namespace + "/" + made.Token.Object,
		Client: made.Token.Client, User: made.Token.User, By: m.auditName(),
	}))
	status := http.StatusOK
	if made.Secret.Kind() == 0 { // the operator writes the token into a Secret later
		status = http.StatusAccepted
	}
	writeJSON(w, status, issuedTokenResponse{Data: made.Secret.Reveal(), Token: viewOf(made.Token)})
}

// auditChange writes an audit event for a change that issues no new token.
func (h *TokenAPI) auditChange(r *http.Request, m managementRequest, what audit.Event, t management.Token) {
	h.Audit.Write(h.withOrigin(r, audit.Line{
		Event: what, Token: t.ID, Object: t.Namespace + "/" + t.Object, Client: m.scope.Client, User: m.scope.User, By: m.auditName(),
	}))
}

// patchToken serves PATCH of a token.
func (h *TokenAPI) patchToken(w http.ResponseWriter, r *http.Request, m managementRequest) error {
	body, err := fields.ReadInto[changeTokenBody](w, r, maxManagementBody)
	if err != nil {
		return err
	}
	end, err := h.acquireBudget(m.principal)
	if err != nil {
		return err
	}
	defer end()
	if _, err := h.findToken(r, m); err != nil {
		return err
	}
	t, err := h.Tokens.Change(r.Context(), m.managementCaller(), m.scope, m.name, management.Change(body))
	if err != nil {
		return err
	}
	h.auditChange(r, m, audit.TokenChanged, t)
	writeJSON(w, http.StatusOK, tokenResponse{viewOf(t)})
	return nil
}

// deleteToken serves DELETE of a token, which revokes it.
func (h *TokenAPI) deleteToken(w http.ResponseWriter, r *http.Request, m managementRequest) error {
	end, err := h.acquireBudget(m.principal)
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
	writeRevoked(w)
	return nil
}

// cloneToken serves POST …/clone.
func (h *TokenAPI) cloneToken(w http.ResponseWriter, r *http.Request, m managementRequest) error {
	body, err := fields.ReadInto[cloneTokenBody](w, r, maxManagementBody)
	if err != nil {
		return err
	}
	if body.Name == "" {
		return &fields.Error{Status: http.StatusBadRequest, Field: "name", Message: "is required: it names the new token"}
	}
	key, err := m.idempotencyKey(r)
	if err != nil {
		return err
	}
	end, err := h.acquireBudget(m.principal)
	if err != nil {
		return err
	}
	defer end()
	if _, err := h.findToken(r, m); err != nil {
		return err
	}
	made, err := h.Tokens.Clone(r.Context(), m.managementCaller(), m.scope, m.name, body.Name, key)
	if err != nil {
		return err
	}
	h.writeIssued(w, r, m, audit.TokenCloned, made)
	return nil
}

// tokenOperations returns the operations on application tokens: of the calling user, and of a
// client.
func tokenOperations(h *TokenAPI) []operation {
	key := []param{{name: "Idempotency-Key", text: "Any text of 1 to 255 bytes. For five minutes, the same request of the same caller with the same text is a retry"}}
	rotateCaller := operation{http.MethodPost, "/application-tokens/v1/rotate", h.rotateCallingToken, description{
		id: "rotateOwn", tag: tagClient, summary: "Rotate the calling token",
		text:    "For the holder of an application token, which needs no permission. The client may forbid it. A holder rotates a token at most once in its minOverlap, and the new version expires no later than the calling one.",
		headers: key, callers: callersWithToken, response: exampleMade, isDeferred: true, errorStatuses: []int{400, 401, 403, 404, 409, 413, 415, 429, 503},
	}}
	all := withAdminPrefix(rotateCaller)
	for _, of := range []struct {
		at, suffix, tag string
		path            []param
		lists           func(managementHandler) managementHandler // who may list, get and delete tokens
		wanted          createTokenBody                           // an example, as are the next two
		view            tokenView
		issuedKeys      issuedTokenResponse
	}{
		{"/application-tokens/v1/clients/{client}/application-token", "OfClient", tagClient, []param{{name: "client", text: "The name of the client"}}, requireTokensPermission, exampleWanted, exampleView, exampleMade},
		{"/application-tokens/v1/application-token", "OfUser", tagUser, nil, allowAnyCaller, exampleOfUserWanted, exampleOfUserView, exampleOfUserMade},
	} {
		one := of.at + "/{name}"
		named := append(append([]param{}, of.path...), param{name: "name", text: "The name of the token"})
		common := []int{400, 401, 403, 404, 503}
		all = append(all, withAdminPrefix(
			operation{http.MethodGet, of.at, h.authenticateManagement(of.lists(h.listTokens)), description{
				id: "list" + of.suffix, tag: of.tag, summary: "List application tokens",
				text: "The response has no token, only what describes it.",
				path: of.path, callers: callersWithEither, response: tokenListResponse{[]tokenView{of.view}}, errorStatuses: []int{400, 401, 403, 404, 503},
			}},
			operation{http.MethodPut, one, h.authenticateManagement(requireTokensPermission(h.putToken)), description{
				id: "create" + of.suffix, tag: of.tag, summary: "Create an application token",
				text: "The token is in the response and nowhere else. A token of a client has the roles and permissions in the body; a token of a user has those of the user, and the body must have none. A caller cannot give more than it holds.",
				path: named, body: of.wanted, bodyEncodings: anyEncoding, isBodyOptional: true, callers: callersWithEither, response: of.issuedKeys, errorStatuses: append([]int{409}, common...),
			}},
			operation{http.MethodGet, one, h.authenticateManagement(of.lists(h.getToken)), description{
				id: "get" + of.suffix, tag: of.tag, summary: "Get the description of an application token",
				text: "The response does not have the token itself, which cannot be shown again.",
				path: named, callers: callersWithEither, response: tokenResponse{of.view}, errorStatuses: []int{400, 401, 403, 404, 503},
			}},
			operation{http.MethodPatch, one, h.authenticateManagement(requireTokensPermission(h.patchToken)), description{
				id: "change" + of.suffix, tag: of.tag, summary: "Change, suspend or reactivate an application token",
				text: "The token itself stays the same. Absent members stay unchanged. A token that was suspended in Kubernetes can be reactivated only there.",
				path: named, body: exampleChange, bodyEncodings: anyEncoding, callers: callersWithEither, response: tokenResponse{of.view}, errorStatuses: common,
			}},
			operation{http.MethodDelete, one, h.authenticateManagement(of.lists(h.deleteToken)), description{
				id: "revoke" + of.suffix, tag: of.tag, summary: "Revoke an application token",
				text: "Every version of the token ends at once, for good.",
				path: named, callers: callersWithEither, response: struct{}{}, errorStatuses: []int{400, 401, 403, 404, 503},
			}},
			operation{http.MethodPost, one + "/clone", h.authenticateManagement(requireTokensPermission(h.cloneToken)), description{
				id: "clone" + of.suffix, tag: of.tag, summary: "Clone an application token",
				text: "The new token has the same grants and another name.",
				path: named, headers: key, body: cloneTokenBody{Name: "ci-deploy-2"}, bodyEncodings: anyEncoding, callers: callersWithEither, response: of.issuedKeys, errorStatuses: append([]int{409}, common...),
			}},
			operation{http.MethodPost, one + "/rotate", h.authenticateManagement(h.rotateToken), description{
				id: "rotate" + of.suffix, tag: of.tag, summary: "Rotate an application token",
				text: "The token gets a new version, and the previous one stays valid for the overlap. For a token that rotates itself, the rules of rotateOwn apply.",
				path: named, headers: key, callers: callersWithEither, response: of.issuedKeys, isDeferred: true, errorStatuses: append([]int{409, 413, 415}, common...),
			}},
		)...)
	}
	return all
}
