package oauth

import (
	"net/http"
	"slices"
	"strings"

	"github.com/apptoken/operator/internal/grant"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/server/decode"
	"github.com/apptoken/operator/internal/server/loginapi"
	"github.com/apptoken/operator/internal/verify"
)

// Bounds of a scope, which are those of the permissions in a TokenRecord.
const (
	maxScope           = 128     // permissions
	maxScopeBytes      = 1 << 10 // of all: a record holds them, and a client may have thousands of records
	maxScopePermission = 128     // bytes of one of them
)

// scopeIn returns the permissions that the scope of a request names, in the order of the request.
// An empty scope is none. The grammar is that of RFC 6749, section 3.3, where each token is a
// permission.
func scopeIn(f decode.Fields) ([]string, error) {
	text, _, err := f.Text(loginapi.FieldScope)
	if err != nil {
		return nil, &login.InvalidScope{Message: "must be text: permissions, separated by single spaces"}
	}
	if text == "" {
		return nil, nil
	}
	named := strings.Split(text, " ")
	if len(named) > maxScope || len(text) > maxScopeBytes {
		return nil, &login.InvalidScope{Message: "names too many permissions; the limit is 128 permissions in 1,024 bytes"}
	}
	if slices.ContainsFunc(named, func(p string) bool { return len(p) > maxScopePermission || !grant.ValidPermission(p) }) {
		return nil, &login.InvalidScope{Message: "must be permissions, such as search.query, separated by single spaces"}
	}
	if len(sorted(named)) != len(named) {
		return nil, &login.InvalidScope{Message: "names a permission twice"}
	}
	return named, nil
}

// sorted returns the different permissions of a scope, sorted as records have them.
func sorted(scope []string) []string { return slices.Compact(slices.Sorted(slices.Values(scope))) }

// heldBy returns a function that returns the permissions that a user holds at a client now, from
// the address of a request.
func (h *Handlers) heldBy(r *http.Request) func(login.User, login.Client) []string {
	return func(u login.User, c login.Client) []string {
		who, verdict := h.Verifier.PasswordIdentity(u.Name, c.Name, h.Source(r))
		if verdict != verify.Valid {
			return nil
		}
		return who.Permissions
	}
}

// grantedScope returns the scope of a login: what the request names, or else what the login holds.
func (h *Handlers) grantedScope(r *http.Request, o login.Opened, asked []string) string {
	if len(asked) > 0 {
		return strings.Join(asked, " ")
	}
	held := h.heldBy(r)(o.User, o.Client)
	if narrow := o.Record.Permissions; len(narrow) > 0 {
		held = grant.Intersect(held, narrow)
	}
	return strings.Join(held, " ")
}
