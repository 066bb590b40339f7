package server

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/apptoken/operator/internal/audit"
	"github.com/apptoken/operator/internal/desk"
	"github.com/apptoken/operator/internal/server/fields"
	"github.com/apptoken/operator/internal/verify"
)

// This file serves the application tokens of a user (Funnelback 15) and of a client (Funnelback 16)
// over HTTP: docs/dialects/funnelback.md and docs/dialects/squiz-dxp.md.

// permissionTokens lets a caller manage application tokens: all of a client, or a user's own.
const permissionTokens = "sec.application-token.non-expiring.create"

// mostManaged is the maximum body size of a management request, in bytes.
const mostManaged = 64 << 10

// mostKey is the maximum length of an Idempotency-Key, in bytes.
const mostKey = 255

// managed is a management request of an authenticated caller.
type managed struct {
	principal
	scope desk.Scope
	name  string // of the token; empty for requests about all tokens
}

// manager serves a management request. If it returns an error, the caller writes the error
// response.
type manager func(http.ResponseWriter, *http.Request, managed) error

// manage authenticates the caller and sets the scope of the request: the client in the path, or the
// user's own tokens where the path names no client. It refuses callers of other clients.
func (d *Doors) manage(serve manager) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		client := r.PathValue("client")
		p, err := d.principalOf(w, r, client)
		r, cancel := patient(r)
		defer cancel()
		m := managed{principal: p, scope: desk.Scope{Client: client}, name: r.PathValue("name")}
		switch {
		case err != nil: // principalOf has written the response
		case client == "" && p.User == nil:
			problem(w, http.StatusForbidden, "access_denied", "this path is for the tokens of a user, and the caller presents a token of a client; tokens of a client are at /application-tokens/v1/clients/{client}")
		case client == "":
			m.scope = desk.Scope{Client: p.Client.Name, User: p.User.Name}
			d.finishFor(w, r, m, serve(w, r, m))
		case client != p.Client.Name: // another client's tokens look like tokens that do not exist
			nothingHere(w)
		default:
			d.finishFor(w, r, m, serve(w, r, m))
		}
	}
}

// finishFor is finish for an authenticated caller. It writes an audit event that names a caller who
// lacks a permission or asks for more than it holds. A denied rotation by a holder has no field,
// and selfRotationRefused writes its event.
func (d *Doors) finishFor(w http.ResponseWriter, r *http.Request, m managed, err error) {
	denied, isDenied := errors.AsType[*desk.Denied](err)
	if errors.Is(err, errPermission) || isDenied && denied.Field != "" {
		d.forbidden(r, doorManage, verify.PermissionMissing, m.Identity)
	}
	d.finish(w, err)
}

// patient returns a request that waits for the API server for at most mostPatience. It goes on when
// the client disconnects, so that a write that was started is completed.
func patient(r *http.Request) (*http.Request, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), mostPatience)
	return r.WithContext(ctx), cancel
}

// permitted requires permissionTokens. It checks the permission before anything is read, so that a
// caller without it does not learn whether a token exists.
func permitted(serve manager) manager {
	return func(w http.ResponseWriter, r *http.Request, m managed) error {
		if !m.holds(permissionTokens) {
			return errPermission
		}
		return serve(w, r, m)
	}
}

// found returns the token that a request is about. A caller at one client has no access to the same
// user's tokens at another client: its permissions there differ from those here.
func (d *Doors) found(r *http.Request, m managed) (desk.Token, error) {
	t, err := d.Desk.Get(r.Context(), m.scope, m.name)
	if err == nil && t.Client != m.scope.Client {
		err = desk.ErrMissing
	}
	if err != nil {
		return desk.Token{}, err
	}
	return t, nil
}

// finish writes the response to an error.
func (d *Doors) finish(w http.ResponseWriter, err error) {
	refused, isRefused := errors.AsType[*desk.Refused](err)
	used, isSpent := errors.AsType[*spent](err)
	denied, isDenied := errors.AsType[*desk.Denied](err)
	soon, isSoon := errors.AsType[*desk.TooSoon](err)
	switch {
	case err == nil:
	case errors.Is(err, errPermission):
		w.Header()["Www-Authenticate"] = insufficient
		problem(w, http.StatusForbidden, "insufficient_scope", "the caller does not hold "+permissionTokens+" at this client")
	case isRefused && refused.Full:
		problem(w, http.StatusConflict, "quota_exceeded", refused.Error())
	case isRefused:
		answer(w, http.StatusBadRequest, fault{Error: "invalid_request", Description: refused.Error(), Field: refused.Field})
	case isSpent:
		tooMany(w, used.after)
	case isDenied && denied.Permission != "":
		w.Header()["Www-Authenticate"] = insufficient
		answer(w, http.StatusForbidden, fault{Error: "insufficient_scope", Description: denied.Error(), Field: denied.Field})
	case isDenied:
		answer(w, http.StatusForbidden, fault{Error: "access_denied", Description: denied.Error(), Field: denied.Field})
	case errors.Is(err, desk.ErrMissing):
		nothingHere(w)
	case errors.Is(err, desk.ErrTaken):
		problem(w, http.StatusConflict, "conflict", "a token of this name exists, and its text cannot be shown again; rotate it, or delete it and create it again")
	case isSoon:
		w.Header()["Retry-After"] = []string{seconds(soon.After)}
		problem(w, http.StatusTooManyRequests, "too_many_requests", soon.Message+"; wait, and try again")
	case errors.Is(err, desk.ErrDone):
		problem(w, http.StatusConflict, "conflict", "this request was served before: the token in its response is in use, or the time for a retry is over")
	case errors.Is(err, desk.ErrSuperseded):
		problem(w, http.StatusConflict, "conflict", "another request has rotated the calling token; use the current version")
	case errors.Is(err, desk.ErrUnavailable):
		unavailable(w)
	default:
		d.failed(w, err, nil)
	}
}

var errPermission = errors.New("the caller lacks the permission")

func (p principal) holds(permission string) bool {
	return verify.Require(p.Held, verify.Facts{Permissions: []string{permission}}) == verify.Good
}

// listTokens serves GET of the collection.
func (d *Doors) listTokens(w http.ResponseWriter, r *http.Request, m managed) error {
	end, err := d.begin(m.principal)
	if err != nil {
		return err
	}
	defer end()
	all, err := d.Desk.List(r.Context(), m.scope)
	if err != nil {
		return err
	}
	list := manyTokens{Data: []tokenView{}}
	for _, t := range all {
		if t.Client == m.scope.Client { // see found
			list.Data = append(list.Data, viewOf(t))
		}
	}
	answer(w, http.StatusOK, list)
	return nil
}

// getToken serves GET of a token.
func (d *Doors) getToken(w http.ResponseWriter, r *http.Request, m managed) error {
	end, err := d.begin(m.principal)
	if err != nil {
		return err
	}
	defer end()
	t, err := d.found(r, m)
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, oneToken{viewOf(t)})
	return nil
}

// putToken serves PUT of a token, which creates it.
func (d *Doors) putToken(w http.ResponseWriter, r *http.Request, m managed) error {
	body, err := fields.ReadInto[tokenWanted](w, r, mostManaged)
	if err != nil {
		return err
	}
	wanted := desk.Wanted{Name: m.name, Roles: body.Roles, Permissions: body.Permissions, SourceRanges: body.SourceRanges}
	if body.Lifetime != nil {
		if wanted.Lifetime, err = lifetimeIn(*body.Lifetime); err != nil {
			return err
		}
	}
	end, err := d.begin(m.principal)
	if err != nil {
		return err
	}
	defer end()
	made, err := d.Desk.Create(r.Context(), m.asCaller(), m.scope, wanted)
	if err != nil {
		return err
	}
	d.made(w, r, m, audit.TokenCreated, made)
	return nil
}

// lifetimeIn parses a lifetime of at least one second, in whole seconds.
func lifetimeIn(text string) (time.Duration, error) {
	v, err := time.ParseDuration(text)
	if err != nil || v < time.Second || v%time.Second != 0 || strings.ContainsAny(text, "+-.") {
		return 0, &fields.Error{
			Status: http.StatusBadRequest, Field: "lifetime",
			Message: "must be whole hours, minutes and seconds, such as 720h or 1h30m, and more than zero; leave it out for a token that does not expire",
		}
	}
	return v, nil
}

// made writes an audit event and the response that carries the new token.
func (d *Doors) made(w http.ResponseWriter, r *http.Request, m managed, what audit.Event, made desk.Issued) {
	d.Audit.Write(d.from(r, audit.Line{
		Event: what, Token: made.Token.ID, Object: made.Token.Namespace + "/" + made.Token.Object,
		Client: made.Token.Client, User: made.Token.User, By: m.by(),
	}))
	status := http.StatusOK
	if made.Secret.Kind() == 0 { // the operator writes the token into a Secret later
		status = http.StatusAccepted
	}
	answer(w, status, tokenMade{Data: made.Secret.Reveal(), Token: viewOf(made.Token)})
}

// changed writes an audit event for a change that issues no new token.
func (d *Doors) changed(r *http.Request, m managed, what audit.Event, t desk.Token) {
	d.Audit.Write(d.from(r, audit.Line{
		Event: what, Token: t.ID, Object: t.Namespace + "/" + t.Object, Client: m.scope.Client, User: m.scope.User, By: m.by(),
	}))
}

// patchToken serves PATCH of a token.
func (d *Doors) patchToken(w http.ResponseWriter, r *http.Request, m managed) error {
	body, err := fields.ReadInto[tokenChange](w, r, mostManaged)
	if err != nil {
		return err
	}
	end, err := d.begin(m.principal)
	if err != nil {
		return err
	}
	defer end()
	if _, err := d.found(r, m); err != nil {
		return err
	}
	t, err := d.Desk.Change(r.Context(), m.asCaller(), m.scope, m.name, desk.Change(body))
	if err != nil {
		return err
	}
	d.changed(r, m, audit.TokenChanged, t)
	answer(w, http.StatusOK, oneToken{viewOf(t)})
	return nil
}

// deleteToken serves DELETE of a token, which revokes it.
func (d *Doors) deleteToken(w http.ResponseWriter, r *http.Request, m managed) error {
	end, err := d.begin(m.principal)
	if err != nil {
		return err
	}
	defer end()
	t, err := d.found(r, m)
	if err != nil {
		return err
	}
	if err := d.Desk.Revoke(r.Context(), m.scope, m.name); err != nil {
		return err
	}
	d.changed(r, m, audit.TokenRevoked, t)
	done(w)
	return nil
}

// cloneToken serves POST …/clone.
func (d *Doors) cloneToken(w http.ResponseWriter, r *http.Request, m managed) error {
	body, err := fields.ReadInto[cloneWanted](w, r, mostManaged)
	if err != nil {
		return err
	}
	if body.Name == "" {
		return &fields.Error{Status: http.StatusBadRequest, Field: "name", Message: "is required: it names the new token"}
	}
	key, err := m.key(r)
	if err != nil {
		return err
	}
	end, err := d.begin(m.principal)
	if err != nil {
		return err
	}
	defer end()
	if _, err := d.found(r, m); err != nil {
		return err
	}
	made, err := d.Desk.Clone(r.Context(), m.asCaller(), m.scope, m.name, body.Name, key)
	if err != nil {
		return err
	}
	d.made(w, r, m, audit.TokenCloned, made)
	return nil
}
