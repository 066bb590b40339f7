package login

import (
	"slices"

	"github.com/apptoken/operator/internal/grant"
	"github.com/apptoken/operator/internal/record"
)

// InvalidScope reports that a login cannot be narrowed to the permissions that a request names.
type InvalidScope struct{ Message string }

func (e *InvalidScope) Error() string { return "scope " + e.Message }

// CheckScope returns *InvalidScope unless a caller that holds some permissions may have all those
// that a scope names.
func CheckScope(held, scope []string) error {
	if slices.ContainsFunc(scope, func(p string) bool { return !grant.Covers(held, p) }) {
		return &InvalidScope{"names a permission that is not held; ask for permissions that are, or for no scope"}
	}
	return nil
}

// narrow returns the permissions that the login in place of r is narrowed to: those of the request,
// or else those of the session.
func (x *exchange) narrow(u User, c Client, r record.Record) ([]string, error) {
	session := r.SessionPermissions()
	if len(x.Permissions) == 0 {
		return session, nil
	}
	held := x.Held(u, c)
	if len(session) > 0 {
		held = grant.Intersect(held, session)
	}
	return x.Permissions, CheckScope(held, x.Permissions)
}

// keepSessionPermissions notes in the refresh token of a login to which permissions its session is
// narrowed. A refresh narrows one login, and never the next ones (RFC 6749, section 6).
func keepSessionPermissions(r *record.Record, session []string) {
	switch {
	case slices.Equal(r.Permissions, session):
	case len(session) == 0:
		r.Refresh.IsOfUser = true
	default:
		r.Refresh.Permissions = session
	}
}
