package server

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/apptoken/operator/internal/audit"
	"github.com/apptoken/operator/internal/desk"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/server/fields"
	"github.com/apptoken/operator/internal/token"
)

// rotateToken serves POST …/rotate, for administrators and for the holder of the token.
func (d *Doors) rotateToken(w http.ResponseWriter, r *http.Request, m managed) error {
	if err := saysNothing(w, r); err != nil {
		return err
	}
	key, err := m.key(r)
	if err != nil {
		return err
	}
	// The comparison is with the caller's credential alone, and reads nothing.
	if m.Subject == d.Desk.Subject(m.scope, m.name) {
		return d.rotateOwn(w, r, m)
	}
	if !m.holds(permissionTokens) {
		return errPermission
	}
	end, err := d.begin(m.principal)
	if err != nil {
		return err
	}
	defer end()
	if _, err := d.found(r, m); err != nil {
		return err
	}
	made, err := d.Desk.Rotate(r.Context(), m.asCaller(), m.scope, m.name, key)
	if err != nil {
		return err
	}
	d.made(w, r, m, audit.TokenRotated, made)
	return nil
}

// rotateOwn issues the successor of the token that calls.
func (d *Doors) rotateOwn(w http.ResponseWriter, r *http.Request, m managed) error {
	if k := m.Kind; k != token.Application && k != token.UserApplication {
		return &login.Forbidden{Message: "only an application token can rotate itself; call with one, or name the token in the path"}
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
	made, err := d.Desk.RotateOwn(r.Context(), m.asCaller(), m.digest, key)
	if err != nil {
		d.selfRotationRefused(r, m, err)
		return err
	}
	d.made(w, r, m, audit.TokenSelfRotated, made)
	return nil
}

// selfRotationRefused writes an audit event for a refused rotation by a holder. The holder may be a
// thief, and the owner has to learn of it.
func (d *Doors) selfRotationRefused(r *http.Request, m managed, err error) {
	verdict := ""
	switch {
	case errors.Is(err, desk.ErrSuperseded):
		verdict = "Superseded"
	case errors.Is(err, desk.ErrDone):
		verdict = "RetryOver"
	case isA[*desk.Denied](err):
		verdict = "SelfRotationForbidden"
	case isA[*desk.TooSoon](err):
		verdict = "TooSoon"
	case isA[*desk.Refused](err):
		verdict = "NotServed"
	default:
		return // no decision was made
	}
	line := d.from(r, audit.Line{
		Event: audit.TokenSelfRotationRefused, Verdict: verdict, Reason: err.Error(),
		Token: m.ID.String(), Object: m.Subject, Client: m.Client.Name,
	})
	if m.User != nil {
		line.User = m.User.Name
	}
	d.Audit.Limited(line)
}

func isA[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}

// rotateCaller serves POST /application-tokens/v1/rotate, for a holder that knows nothing but its
// token.
func (d *Doors) rotateCaller(w http.ResponseWriter, r *http.Request) {
	if p, err := d.principalOf(w, r, ""); err == nil {
		r, cancel := patient(r)
		defer cancel()
		if err = saysNothing(w, r); err == nil {
			err = d.rotateOwn(w, r, managed{principal: p})
		}
		d.finish(w, err)
	}
}

// saysNothing refuses a body with fields. They would have no effect, and a caller must not take
// them for a restriction that is in force.
func saysNothing(w http.ResponseWriter, r *http.Request) error {
	_, err := fields.ReadInto[struct{}](w, r, mostManaged)
	return err
}

// key returns the key that identifies a retry of a request. Each caller has keys of its own.
func (m managed) key(r *http.Request) (string, error) {
	keys := r.Header["Idempotency-Key"]
	if len(keys) == 0 {
		return "", nil
	}
	if len(keys) > 1 || keys[0] == "" || len(keys[0]) > mostKey {
		return "", &fields.Error{Status: http.StatusBadRequest, Field: "Idempotency-Key", Message: "must be sent once, with 1 to " + strconv.Itoa(mostKey) + " bytes"}
	}
	return m.Subject + "\x00" + keys[0], nil
}
