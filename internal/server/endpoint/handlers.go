package endpoint

import (
	"github.com/apptoken/operator/internal/verify"
)

func (p Principal) Holds(permission string) bool {
	return verify.CheckRequirements(p.Held, verify.Facts{Permissions: []string{permission}}) == verify.Valid
}
