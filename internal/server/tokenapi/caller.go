package tokenapi

import (
	"github.com/apptoken/operator/internal/grant"
	"github.com/apptoken/operator/internal/management"
	"github.com/apptoken/operator/internal/server/endpoint"
	"github.com/apptoken/operator/internal/token"
)

// managementCaller returns a principal as a caller of the management service. The end of a login
// does not limit the lifetime of tokens that its user makes, since the user can log in again. An
// application token speaks for a program, and what it makes ends no later than the token itself.
func managementCaller(p endpoint.Principal) management.Caller {
	holds := grant.Authority{Roles: p.Roles, Permissions: p.Permissions, Ranges: p.Ranges}
	if p.Kind == token.Application || p.Kind == token.UserApplication {
		holds.End = p.ExpiresAt
	}
	return management.Caller{ID: p.AuditName(), Subject: p.Subject, Authority: holds, CanEscalate: p.Holds(management.PermissionEscalate)}
}
