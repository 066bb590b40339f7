package tokenapi

import (
	"net/http"

	"github.com/apptoken/operator/internal/grant"
	"github.com/apptoken/operator/internal/management"
	"github.com/apptoken/operator/internal/server/endpoint"
	"github.com/apptoken/operator/internal/token"
)

// managementCaller returns a principal as a caller of the management service. The end of a login
// does not limit the lifetime of tokens that its user makes, since the user can log in again. An
// application token speaks for a program, and what it makes ends no later than the token itself.
// The same holds for an access token, even one that may escalate: it is short-lived so that a thief
// gains little by it.
func managementCaller(p endpoint.Principal) management.Caller {
	holds := grant.Authority{Roles: p.Roles, Permissions: p.Permissions, Ranges: p.Ranges}
	isAccess := p.Kind == token.Access
	if p.Kind == token.Application || p.Kind == token.UserApplication || isAccess {
		holds.End = p.ExpiresAt
	}
	return management.Caller{
		ID: p.AuditName(), Subject: p.Subject, Authority: holds,
		CanEscalate: p.Holds(management.PermissionEscalate) && !isAccess,
	}
}

// makesUserToken reports whether a request makes a token of a user, or changes one.
func makesUserToken(r *http.Request) bool {
	return r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodDelete
}
