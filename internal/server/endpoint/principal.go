package endpoint

import (
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
)

// Principal is an authenticated caller, by a token or by name and password.
type Principal struct {
	verify.Identity
	Digest token.Digest // of the token; zero for a caller by name and password
}

// AuditName returns the name of a principal in the audit log.
func (p Principal) AuditName() string {
	if p.Digest != (token.Digest{}) {
		return p.ID.String()
	}
	return "user " + p.Subject
}

// BudgetKey returns the key of the budget that pays for a request. It is the user, since a user may
// have many credentials. Without a user it is the ApplicationToken, whichever version is presented.
func (p Principal) BudgetKey() string {
	if p.User != nil {
		return "user " + p.User.Name
	}
	return "token " + p.Subject
}

// Holds reports whether the principal holds a permission.
func (p Principal) Holds(permission string) bool {
	return verify.CheckRequirements(p.Held, verify.Facts{Permissions: []string{permission}}) == verify.Valid
}
