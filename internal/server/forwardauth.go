package server

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/apptoken/operator/internal/verify"
)

// Headers of the identity that a gateway passes on. A gateway must drop those that its own callers send.
const (
	headerPrefix      = "X-Apptoken-"
	headerSubject     = "X-Apptoken-Subject"
	headerClient      = "X-Apptoken-Client"
	headerAccount     = "X-Apptoken-Account-Id"
	headerUser        = "X-Apptoken-User"
	headerRoles       = "X-Apptoken-Roles"
	headerPermissions = "X-Apptoken-Permissions"
	headerTokenID     = "X-Apptoken-Token-Id"
	headerKind        = "X-Apptoken-Kind"
)

// mostList is how many bytes a list in a header may have. Gateways take a few kilobytes of headers in all; a longer list is
// left empty, which lets nobody do anything.
const mostList = 4 << 10

// eachHeader calls set for every header of an identity. Those that say nothing are empty, so that whatever a caller wrote
// there does not stay.
func eachHeader(who verify.Identity, set func(name, value string)) {
	account := ""
	if who.Client.AccountID != 0 {
		account = strconv.FormatInt(who.Client.AccountID, 10)
	}
	set(headerSubject, who.Subject)
	set(headerClient, who.Client.Name)
	set(headerAccount, account)
	set(headerUser, "")
	set(headerRoles, bounded(who.RoleList))
	set(headerPermissions, bounded(who.PermissionList))
	set(headerTokenID, who.ID.String())
	set(headerKind, who.Kind.String())
}

func bounded(list string) string {
	if len(list) > mostList {
		return ""
	}
	return list
}

// forwardAuth answers a gateway: may the request that it holds back pass?
func (d *Doors) forwardAuth(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header["Cache-Control"] = noStore
	facts, err := required(r.URL.RawQuery)
	if err != nil {
		problem(w, http.StatusBadRequest, "invalid_request", "the query cannot be read")
		return
	}
	facts.Source = d.source(r)
	p := credentialOf(r.Header)
	who, verdict := d.ask(r.Context(), doorVerify, p.text, facts, facts.Source)
	switch {
	case verdict == verify.Good:
		eachHeader(who, func(name, value string) { header[name] = []string{value} })
		w.WriteHeader(http.StatusOK)
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

// required reads what is required from the query. Parameters of other names are somebody else's.
func required(query string) (verify.Facts, error) {
	var f verify.Facts
	if query == "" {
		return f, nil
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return f, err
	}
	f.Permissions, f.Roles, f.Clients = values["permission"], values["role"], values["client"]
	return f, nil
}
