package server

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/apptoken/operator/internal/audit"
	"github.com/apptoken/operator/internal/verify"
)

// Headers with the identity that a gateway forwards. A gateway must drop headers of these names
// that its own callers send.
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

// mostList is the maximum size of a list in a header, in bytes. Gateways accept a few kilobytes of
// headers in all. A longer list is replaced by an empty one, which grants nothing.
const mostList = 4 << 10

// identityHeaders are the header names, in the order of valuesOf. With Cache-Control they are
// eight, as many as a Go map holds before it grows. Growth would cost each response as much as the
// verification. So a 200 carries none of the headers that restrain browsers: it has no body, and
// goes to a gateway. Refusals carry them.
var identityHeaders = [...]string{
	headerSubject, headerClient, headerUser, headerRoles, headerPermissions, headerTokenID, headerKind,
}

// valuesOf returns the values of the identity headers. A header without a value is sent empty, so
// that it replaces what a caller sent. All headers are always present: for an absent one, Caddy 2.6
// sends the upstream the name of its own variable.
func valuesOf(who verify.Identity) [len(identityHeaders)]string {
	user := ""
	if who.User != nil {
		// A username may hold characters that no header may; the name of a User may not.
		user = who.User.Name
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

// Paths that gateways call. Requirements are in the query of the first, or in segments below the
// second.
const (
	pathVerify  = "/verify"
	belowVerify = pathVerify + "/"
	// endOfRequirements is the segment after the last requirement.
	endOfRequirements = "-"
)

// isVerify reports whether gateways call a path.
func isVerify(path string) bool { return path == pathVerify || strings.HasPrefix(path, belowVerify) }

// forwardAuth decides whether a gateway may forward a request. Its requirements are in the query.
// Some gateways append the query of the original request, so parameters of other names are ignored,
// and a misspelled requirement with them.
func (d *Doors) forwardAuth(w http.ResponseWriter, r *http.Request) {
	facts, err := required(r.URL.RawQuery)
	if err != nil {
		overTLS(w.Header(), r)
		problem(w, http.StatusBadRequest, "invalid_request", "the query cannot be read")
		return
	}
	d.answerGateway(w, r, facts)
}

// forwardAuthByPath decides whether a gateway may forward a request. Its requirements are in the
// path. A requirement of an unknown name is refused: to ignore it could be to require less than was
// meant.
func (d *Doors) forwardAuthByPath(w http.ResponseWriter, r *http.Request) {
	facts, err := requiredInPath(r.URL.EscapedPath())
	switch {
	case errors.Is(err, errNoEnd):
		overTLS(w.Header(), r)
		nothingHere(w)
	case err != nil:
		overTLS(w.Header(), r)
		d.Audit.Limited(audit.Line{
			Event: audit.EndpointMisconfigured, Endpoint: doors[doorVerify], Source: peerOf(r.RemoteAddr),
			Reason: "a requirement in the path is unknown or empty",
		})
		problem(w, http.StatusForbidden, "server_error", "the gateway sends an unknown requirement; see the audit log")
	default:
		d.answerGateway(w, r, facts)
	}
}

// answerGateway verifies the credential of a request that a gateway holds back.
func (d *Doors) answerGateway(w http.ResponseWriter, r *http.Request, facts verify.Facts) {
	header := w.Header()
	header["Cache-Control"] = noStore
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
		// Stale concerns all credentials. Undecided concerns one unknown token, and is a 401.
		unavailable(w)
	case verdict.Forbidden():
		header["Www-Authenticate"] = insufficient
		problem(w, http.StatusForbidden, "insufficient_scope", "the token is valid, and lacks what is required here")
	case p.text == "" && !p.many:
		header["Www-Authenticate"] = challenge
		problem(w, http.StatusUnauthorized, "unauthorized", "a token is required")
	default:
		header["Www-Authenticate"] = invalid
		problem(w, http.StatusUnauthorized, "invalid_token", "the token is not accepted")
	}
}

var (
	errQuery       = errors.New("the query cannot be read")
	errNoEnd       = errors.New("no segment of the path ends the requirements")
	errRequirement = errors.New("a requirement in the path is not known")
)

// required parses the requirements in a query, by the rules of url.ParseQuery. It ignores
// parameters of other names.
func required(query string) (verify.Facts, error) {
	var f verify.Facts
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		name, err1 := url.QueryUnescape(name)
		value, err2 := url.QueryUnescape(value)
		if err1 != nil || err2 != nil || strings.Contains(pair, ";") {
			return verify.Facts{}, errQuery
		}
		require(&f, name, value)
	}
	return f, nil
}

// requiredInPath parses the requirements in an escaped path:
//
//	/verify/permission=search.query/role=primary/-/search/all
//
// Each segment before the first "-" is a requirement. The rest is the path of the request that the
// gateway holds back, and is not parsed.
func requiredInPath(path string) (verify.Facts, error) {
	var f verify.Facts
	isKnown := true
	rest, more := strings.CutPrefix(path, belowVerify)
	for more {
		var segment string
		segment, rest, more = strings.Cut(rest, "/")
		switch {
		case segment == endOfRequirements && isKnown:
			return f, nil
		case segment == endOfRequirements:
			return verify.Facts{}, errRequirement
		case isKnown:
			name, escaped, _ := strings.Cut(segment, "=")
			value, err := url.PathUnescape(escaped)
			isKnown = err == nil && value != "" && require(&f, name, value)
		}
	}
	return verify.Facts{}, errNoEnd
}

// require adds a requirement. It reports whether requirements of that name exist.
func require(f *verify.Facts, name, value string) bool {
	switch name {
	case "permission":
		f.Permissions = append(f.Permissions, value)
	case "role":
		f.Roles = append(f.Roles, value)
	case "client":
		f.Clients = append(f.Clients, value)
	default:
		return false
	}
	return true
}
