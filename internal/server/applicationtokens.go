package server

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/apptoken/operator/internal/desk"
	"github.com/apptoken/operator/internal/server/fields"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
)

// The application tokens of a user (Funnelback 15) and of a client (Funnelback 16), over HTTP: docs/dialects/funnelback.md
// and docs/dialects/squiz-dxp.md.

// permissionTokens administers application tokens: all of a client, or those that a user makes for themselves.
const permissionTokens = "sec.application-token.non-expiring.create"

// mostManaged is how many bytes the body of a request to the management API may have.
const mostManaged = 64 << 10

// mostKey is how many bytes an Idempotency-Key may have.
const mostKey = 255

// tokenView is an application token, as its administrators see it.
type tokenView struct {
	Name         string   `json:"name" doc:"By which it is addressed here; namespace:name of one that is declared in a manifest"`
	Namespace    string   `json:"namespace" doc:"Of the ApplicationToken"`
	Object       string   `json:"object" doc:"The name of the ApplicationToken"`
	Client       string   `json:"client"`
	User         string   `json:"user,omitempty" doc:"The user whose permissions it shares"`
	Declared     bool     `json:"declared" doc:"In a manifest; its token is in a Secret"`
	ID           string   `json:"id,omitempty" doc:"Of the current version, as verification tells it"`
	Hint         string   `json:"hint,omitempty" doc:"Four of its characters, by which people know it again"`
	State        string   `json:"state" enum:"Active,Suspended,Revoked"`
	Ready        bool     `json:"ready"`
	Reason       string   `json:"reason,omitempty" doc:"Why it is ready, or is not"`
	Roles        []string `json:"roles"`
	Permissions  []string `json:"permissions"`
	SourceRanges []string `json:"sourceRanges"`
	Lifetime     string   `json:"lifetime,omitempty" doc:"Of each version; without one it does not expire"`
	IssuedAt     string   `json:"issuedAt,omitempty" format:"date-time"`
	ExpiresAt    string   `json:"expiresAt,omitempty" format:"date-time" doc:"The first instant at which it is refused"`
	LastUsedAt   string   `json:"lastUsedAt,omitempty" format:"date-time"`
	LastUsedFrom string   `json:"lastUsedFrom,omitempty"`
	Rotations    int64    `json:"rotations"`
	Predecessors int      `json:"predecessors" doc:"Versions before that are still good"`
}

func viewOf(t desk.Token) tokenView {
	list := func(names []string) []string { return append([]string{}, names...) }
	at := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.UTC().Format(time.RFC3339)
	}
	v := tokenView{
		Name: t.Name, Namespace: t.Namespace, Object: t.Object, Client: t.Client, User: t.User, Declared: t.Declared,
		ID: t.ID, Hint: t.Hint, State: t.State, Ready: t.Ready, Reason: t.Reason,
		Roles: list(t.Roles), Permissions: list(t.Permissions), SourceRanges: list(t.SourceRanges),
		IssuedAt: at(t.IssuedAt), ExpiresAt: at(t.ExpiresAt), LastUsedAt: at(t.LastUsedAt), LastUsedFrom: t.LastUsedFrom,
		Rotations: t.Rotations, Predecessors: t.Predecessors,
	}
	if t.Lifetime > 0 {
		v.Lifetime = t.Lifetime.String()
	}
	return v
}

// tokenMade is the answer that carries a token, once.
type tokenMade struct {
	Data  string    `json:"data,omitempty" doc:"The token. It cannot be had again. Absent where it goes into a Secret"`
	Token tokenView `json:"applicationToken"`
}

// oneToken is the answer that describes a token.
type oneToken struct {
	Data tokenView `json:"data"`
}

// manyTokens is the answer that lists tokens.
type manyTokens struct {
	Data []tokenView `json:"data"`
}

// tokenWanted is the body of a request that makes a token.
type tokenWanted struct {
	Roles        []string `json:"roles,omitempty" doc:"Of those that the client has; none without"`
	Permissions  []string `json:"permissions,omitempty" doc:"Single ones, of those that the client's roles hold"`
	SourceRanges []string `json:"sourceRanges,omitempty" doc:"Addresses from which it is accepted, such as 10.0.0.0/8; from everywhere without"`
	Lifetime     string   `json:"lifetime,omitempty" doc:"Such as 720h; it does not expire without" example:"720h"`
}

// tokenChange is the body of a request that changes a token. What is not there stays.
type tokenChange struct {
	Roles        *[]string `json:"roles,omitempty"`
	Permissions  *[]string `json:"permissions,omitempty"`
	SourceRanges *[]string `json:"sourceRanges,omitempty"`
	State        *string   `json:"state,omitempty" enum:"Active,Suspended"`
}

// cloneWanted is the body of a request that clones a token.
type cloneWanted struct {
	Name string `json:"name" doc:"Of the new token"`
}

// scoped is a request about application tokens, of somebody who may make it.
type scoped struct {
	principal
	desk.Scope
	name string // of the token; empty: it is about all
}

// manage lets those in who may administer the tokens of the client in the path, or, without one, their own.
func (d *Doors) manage(serve func(http.ResponseWriter, *http.Request, scoped) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		p, err := d.principalOf(w, r, doorManage, r.PathValue("client"))
		if err != nil {
			return // it was answered
		}
		s := scoped{principal: p, name: r.PathValue("name")}
		if client := r.PathValue("client"); client != "" {
			s.Scope = desk.Scope{Client: client}
			if p.Client.Name != client { // somebody else's is as one that is not there
				nothingHere(w)
				return
			}
		} else {
			if p.User == nil {
				problem(w, http.StatusForbidden, "access_denied", "this is about the tokens of a user, and the token that calls is of a client; its tokens are at /application-tokens/v1/clients/{client}")
				return
			}
			s.Scope = desk.Scope{Client: p.Client.Name, User: p.User.Name}
		}
		d.finish(w, serve(w, r, s))
	}
}

// permitted lets those in who hold the permission.
func permitted(serve func(http.ResponseWriter, *http.Request, scoped) error) func(http.ResponseWriter, *http.Request, scoped) error {
	return func(w http.ResponseWriter, r *http.Request, s scoped) error {
		if !s.holds(permissionTokens) {
			return errPermission
		}
		return serve(w, r, s)
	}
}

// finish writes the answer to an error.
func (d *Doors) finish(w http.ResponseWriter, err error) {
	refused, isRefused := errors.AsType[*desk.Refused](err)
	switch {
	case err == nil:
	case errors.Is(err, errPermission):
		w.Header()["Www-Authenticate"] = insufficient
		problem(w, http.StatusForbidden, "insufficient_scope", "the caller does not hold "+permissionTokens+" at this client")
	case isRefused:
		answer(w, http.StatusBadRequest, fault{Error: "invalid_request", Description: refused.Error(), Field: refused.Field})
	case errors.Is(err, desk.ErrMissing):
		nothingHere(w)
	case errors.Is(err, desk.ErrTaken):
		problem(w, http.StatusConflict, "conflict", "there is a token of this name; its text cannot be had again: rotate it, or delete it and make it anew")
	case errors.Is(err, desk.ErrInUse):
		problem(w, http.StatusConflict, "conflict", "this was done before, and the token that the answer carried is in use")
	case errors.Is(err, desk.ErrUnavailable):
		unavailable(w)
	default:
		d.failed(w, err, nil)
	}
}

var errPermission = errors.New("the permission is not held")

func (p principal) holds(permission string) bool {
	return verify.Require(p.Held, verify.Facts{Permissions: []string{permission}}) == verify.Good
}

// listTokens is GET of a collection.
func (d *Doors) listTokens(w http.ResponseWriter, r *http.Request, s scoped) error {
	all, err := d.Desk.List(r.Context(), s.Scope)
	if err != nil {
		return err
	}
	list := manyTokens{Data: make([]tokenView, len(all))}
	for i, t := range all {
		list.Data[i] = viewOf(t)
	}
	answer(w, http.StatusOK, list)
	return nil
}

// getToken is GET of one.
func (d *Doors) getToken(w http.ResponseWriter, r *http.Request, s scoped) error {
	t, err := d.Desk.Get(r.Context(), s.Scope, s.name)
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, oneToken{viewOf(t)})
	return nil
}

// putToken is PUT of one: it makes it.
func (d *Doors) putToken(w http.ResponseWriter, r *http.Request, s scoped) error {
	body, err := fields.ReadJSON[tokenWanted](w, r, mostManaged)
	if err != nil {
		return err
	}
	wanted := desk.Wanted{Name: s.name, Roles: body.Roles, Permissions: body.Permissions, SourceRanges: body.SourceRanges}
	if body.Lifetime != "" {
		if wanted.Lifetime, err = lifetimeIn(body.Lifetime); err != nil {
			return err
		}
	}
	made, err := d.Desk.Create(r.Context(), s.Scope, wanted)
	if err != nil {
		return err
	}
	d.made(w, r, s, "created", made)
	return nil
}

// lifetimeIn reads a length of time: whole seconds, more than none.
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

// made answers with a token, and tells the audit log.
func (d *Doors) made(w http.ResponseWriter, r *http.Request, s scoped, what string, made desk.Issued) {
	d.Audit.Info(what, "token", made.Token.ID, "applicationToken", made.Token.Namespace+"/"+made.Token.Object,
		"client", made.Token.Client, "user", made.Token.User, "by", s.by(), "source", d.source(r).String())
	status := http.StatusOK
	if made.Secret.Kind() == 0 { // it goes into a Secret, soon
		status = http.StatusAccepted
	}
	answer(w, status, tokenMade{Data: made.Secret.Reveal(), Token: viewOf(made.Token)})
}

// changed tells the audit log of what was done to a token without a new one.
func (d *Doors) changed(r *http.Request, s scoped, what, name string) {
	d.Audit.Info(what, "applicationToken", name, "client", s.Scope.Client, "user", s.Scope.User, "by", s.by(), "source", d.source(r).String())
}

// patchToken is PATCH of one.
func (d *Doors) patchToken(w http.ResponseWriter, r *http.Request, s scoped) error {
	body, err := fields.ReadJSON[tokenChange](w, r, mostManaged)
	if err != nil {
		return err
	}
	t, err := d.Desk.Change(r.Context(), s.Scope, s.name, desk.Change(body))
	if err != nil {
		return err
	}
	d.changed(r, s, "changed", t.Namespace+"/"+t.Object)
	answer(w, http.StatusOK, oneToken{viewOf(t)})
	return nil
}

// deleteToken is DELETE of one: it is revoked.
func (d *Doors) deleteToken(w http.ResponseWriter, r *http.Request, s scoped) error {
	t, err := d.Desk.Get(r.Context(), s.Scope, s.name)
	if err != nil {
		return err
	}
	if err := d.Desk.Revoke(r.Context(), s.Scope, s.name); err != nil {
		return err
	}
	d.changed(r, s, "revoked", t.Namespace+"/"+t.Object)
	done(w)
	return nil
}

// cloneToken is POST …/clone.
func (d *Doors) cloneToken(w http.ResponseWriter, r *http.Request, s scoped) error {
	body, err := fields.ReadJSON[cloneWanted](w, r, mostManaged)
	if err != nil {
		return err
	}
	if body.Name == "" {
		return &fields.Error{Status: http.StatusBadRequest, Field: "name", Message: "is required: that of the new token"}
	}
	key, err := idempotencyKey(r)
	if err != nil {
		return err
	}
	made, err := d.Desk.Clone(r.Context(), s.Scope, s.name, body.Name, key)
	if err != nil {
		return err
	}
	d.made(w, r, s, "cloned", made)
	return nil
}

// rotateToken is POST …/rotate: by an administrator, or by whoever holds the token.
func (d *Doors) rotateToken(w http.ResponseWriter, r *http.Request, s scoped) error {
	t, err := d.Desk.Get(r.Context(), s.Scope, s.name)
	if err != nil {
		return err
	}
	if s.digest != (token.Digest{}) && s.Subject == t.Namespace+"/"+t.Object {
		return d.rotateOwn(w, r, s)
	}
	if !s.holds(permissionTokens) {
		return errPermission
	}
	key, err := idempotencyKey(r)
	if err != nil {
		return err
	}
	made, err := d.Desk.Rotate(r.Context(), s.Scope, s.name, key)
	if err != nil {
		return err
	}
	d.made(w, r, s, "rotated", made)
	return nil
}

// rotateOwn makes the successor of the token that calls.
func (d *Doors) rotateOwn(w http.ResponseWriter, r *http.Request, s scoped) error {
	if k := s.Kind; k != token.Application && k != token.UserApplication {
		return &desk.Refused{Message: "only application tokens rotate; a login is refreshed"}
	}
	made, err := d.Desk.RotateOwn(r.Context(), s.digest)
	if err != nil {
		return err
	}
	d.made(w, r, s, "rotated", made)
	return nil
}

// rotateCaller is POST …/application-token/rotate… for a holder who knows nothing but the token.
func (d *Doors) rotateCaller(w http.ResponseWriter, r *http.Request) {
	p, err := d.principalOf(w, r, doorManage, "")
	if err == nil {
		d.finish(w, d.rotateOwn(w, r, scoped{principal: p}))
	}
}

// idempotencyKey is by what a request that was sent before is known again.
func idempotencyKey(r *http.Request) (string, error) {
	keys := r.Header["Idempotency-Key"]
	if len(keys) == 0 {
		return "", nil
	}
	if len(keys) > 1 || keys[0] == "" || len(keys[0]) > mostKey {
		return "", &fields.Error{Status: http.StatusBadRequest, Field: "Idempotency-Key", Message: "must be one text of at most 255 characters"}
	}
	return keys[0], nil
}
