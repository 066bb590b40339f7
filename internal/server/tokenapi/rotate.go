package tokenapi

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/apptoken/operator/internal/audit"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/management"
	"github.com/apptoken/operator/internal/server/decode"
	"github.com/apptoken/operator/internal/token"
)

// rotateToken serves POST …/rotate, for administrators and for the holder of the token.
func (h *Handlers) rotateToken(w http.ResponseWriter, r *http.Request, m managementRequest) error {
	if err := requireEmptyBody(w, r); err != nil {
		return err
	}
	key, err := m.idempotencyKey(r)
	if err != nil {
		return err
	}
	// The comparison is with the caller's credential alone, and reads nothing.
	if m.Subject == h.Tokens.Subject(m.scope, m.name) {
		return h.rotateOwn(w, r, m)
	}
	if !m.Holds(permissionTokens) {
		return errPermission
	}
	end, err := h.AcquireBudget(m.Principal)
	if err != nil {
		return err
	}
	defer end()
	if _, err := h.findToken(r, m); err != nil {
		return err
	}
	made, err := h.Tokens.Rotate(r.Context(), managementCaller(m.Principal), m.scope, m.name, key)
	if err != nil {
		return err
	}
	h.writeIssued(w, r, m, audit.TokenRotated, made)
	return nil
}

// rotateOwn issues the successor of the token that calls.
func (h *Handlers) rotateOwn(w http.ResponseWriter, r *http.Request, m managementRequest) error {
	if k := m.Kind; k != token.Application && k != token.UserApplication {
		return &login.Forbidden{Message: "only an application token can rotate itself; call with one, or name the token in the path"}
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
	made, err := h.Tokens.RotateOwn(r.Context(), managementCaller(m.Principal), m.Digest, key)
	if err != nil {
		h.auditRefusedSelfRotation(r, m, err)
		return err
	}
	h.writeIssued(w, r, m, audit.TokenSelfRotated, made)
	return nil
}

// auditRefusedSelfRotation writes an audit event for a refused rotation by a holder. The holder may
// be a thief, and the owner has to learn of it.
func (h *Handlers) auditRefusedSelfRotation(r *http.Request, m managementRequest, err error) {
	verdict := ""
	switch {
	case errors.Is(err, management.ErrSuperseded):
		verdict = "Superseded"
	case errors.Is(err, management.ErrRetryExpired):
		verdict = "RetryOver"
	case isErrorType[*management.Denied](err):
		verdict = "SelfRotationForbidden"
	case isErrorType[*management.TooSoon](err):
		verdict = "TooSoon"
	case isErrorType[*management.Refused](err):
		verdict = "NotServed"
	default:
		return // no decision was made
	}
	line := h.WithOrigin(r, audit.Line{
		Event: audit.TokenSelfRotationRefused, Verdict: verdict, Reason: err.Error(),
		Token: m.ID.String(), Object: m.Subject, Client: m.Client.Name,
	})
	if m.User != nil {
		line.User = m.User.Name
	}
	h.Audit.WriteLimited(line)
}

func isErrorType[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}

// rotateCallingToken serves POST /application-tokens/v1/rotate, for a holder that knows nothing but
// its token.
func (h *Handlers) rotateCallingToken(w http.ResponseWriter, r *http.Request) {
	if p, err := h.AuthenticatePrincipal(w, r, ""); err == nil {
		r, cancel := withAPITimeout(r)
		defer cancel()
		if err = requireEmptyBody(w, r); err == nil {
			err = h.rotateOwn(w, r, managementRequest{Principal: p})
		}
		writeManagementError(w, err)
	}
}

// requireEmptyBody refuses a body with fields. They would have no effect, and a caller must not
// take them for a restriction that is in force.
func requireEmptyBody(w http.ResponseWriter, r *http.Request) error {
	_, err := decode.ReadInto[struct{}](w, r, maxManagementBody)
	return err
}

// idempotencyKey returns the key that identifies a retry of a request. Each caller has keys of its
// own.
func (m managementRequest) idempotencyKey(r *http.Request) (string, error) {
	keys := r.Header["Idempotency-Key"]
	if len(keys) == 0 {
		return "", nil
	}
	if len(keys) > 1 || keys[0] == "" || len(keys[0]) > maxIdempotencyKey {
		return "", &decode.Error{Status: http.StatusBadRequest, Field: "Idempotency-Key", Message: "must be sent once, with 1 to " + strconv.Itoa(maxIdempotencyKey) + " bytes"}
	}
	return m.Subject + "\x00" + keys[0], nil
}
