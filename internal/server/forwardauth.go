package server

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/apptoken/operator/internal/verify"
)

// Headers of the identity that a gateway passes on. A gateway must drop those that its own callers send.
const (
	headerPrefix      = "X-Apptoken-"
	headerSubject     = "X-Apptoken-Subject"
	headerClient      = "X-Apptoken-Client"
	headerUser        = "X-Apptoken-User"
	headerRoles       = "X-Apptoken-Roles"
	headerPermissions = "X-Apptoken-Permissions"
	headerTokenID     = "X-Apptoken-Token-Id"
	headerKind        = "X-Apptoken-Kind"
)

// mostList is how many bytes a list in a header may have. Gateways take a few kilobytes of headers in all; a longer list is
// left empty, which lets nobody do anything.
const mostList = 4 << 10

// identityHeaders are the names, in the order of valuesOf. With Cache-Control they are as many as a map of Go holds before
// it grows, which costs each answer as much as the verification does. So an answer that lets a request pass has none of the
// headers that restrain browsers: it has no body, and goes to a gateway. Those that refuse have them.
var identityHeaders = [...]string{
	headerSubject, headerClient, headerUser, headerRoles, headerPermissions, headerTokenID, headerKind,
}

// valuesOf are the values of the headers of an identity. Those that say nothing are empty, so that whatever a caller wrote
// there does not stay. All are always there: in place of one that is not, Caddy 2.6 tells the upstream the name of its own
// variable.
func valuesOf(who verify.Identity) [len(identityHeaders)]string {
	user := ""
	if who.User != nil {
		user = who.User.Name // the object's: what people log in with may hold what no header may
	}
	return [...]string{
		who.Subject, who.Client.Name, user, bounded(who.RoleList), bounded(who.PermissionList), who.ID.String(), who.Kind.String(),
	}
}

func bounded(list string) string {
	if len(list) > mostList {
		return ""
	}
	return list
}

// pathVerify is where gateways ask.
const pathVerify = "/verify"

// forwardAuth answers a gateway: may the request that it holds back pass?
func (d *Doors) forwardAuth(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header["Cache-Control"] = noStore
	facts, err := required(r.URL.RawQuery)
	if err != nil {
		overTLS(header, r)
		problem(w, http.StatusBadRequest, "invalid_request", "the query cannot be read")
		return
	}
	p := presentedIn(r.Header)
	facts.Session = p.session
	who, verdict := d.ask(r.Context(), doorVerify, p.text, facts, d.origin(r))
	if verdict == verify.Good {
		values := valuesOf(who)
		for i, name := range identityHeaders {
			header[name] = values[i : i+1 : i+1]
		}
		w.WriteHeader(http.StatusOK)
		return
	}
	overTLS(header, r)
	switch {
	case verdict == verify.Stale:
		unavailable(w) // of all; what is Undecided is one token that nobody knows
	case verdict.Forbidden():
		header["Www-Authenticate"] = insufficient
		problem(w, http.StatusForbidden, "insufficient_scope", "the token is good, and does not hold what is required here")
	case p.text == "" && !p.many:
		header["Www-Authenticate"] = challenge
		problem(w, http.StatusUnauthorized, "unauthorized", "a token is required")
	default:
		header["Www-Authenticate"] = invalid
		problem(w, http.StatusUnauthorized, "invalid_token", "the token is not accepted")
	}
}

var errQuery = errors.New("the query cannot be read")

// required reads what is required from the query, as url.ParseQuery does. Parameters of other names are somebody else's.
func required(query string) (verify.Facts, error) {
	var f verify.Facts
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		name, err1 := url.QueryUnescape(name)
		value, err2 := url.QueryUnescape(value)
		if err1 != nil || err2 != nil || strings.Contains(pair, ";") {
			return verify.Facts{}, errQuery
		}
		switch name {
		case "permission":
			f.Permissions = append(f.Permissions, value)
		case "role":
			f.Roles = append(f.Roles, value)
		case "client":
			f.Clients = append(f.Clients, value)
		}
	}
	return f, nil
}
