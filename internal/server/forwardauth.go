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

// maxListHeader is the maximum size of a list in a header, in bytes. Gateways accept a few
// kilobytes of headers in all. A longer list is replaced by an empty one, which grants nothing.
const maxListHeader = 4 << 10

// identityHeaders are the header names, in the order of identityHeaderValues. With Cache-Control
// they are eight, as many as a Go map holds before it grows. Growth would cost each response as
// much as the verification. So a 200 carries none of the headers that restrain browsers: it has no
// body, and goes to a gateway. Refusals carry them.
var identityHeaders = [...]string{
	headerSubject, headerClient, headerUser, headerRoles, headerPermissions, headerTokenID, headerKind,
}

// identityHeaderValues returns the values of the identity headers. A header without a value is sent
// empty, so that it replaces what a caller sent. All headers are always present: for an absent one,
// Caddy 2.6 sends the upstream the name of its own variable.
func identityHeaderValues(who verify.Identity) [len(identityHeaders)]string {
	user := ""
	if who.User != nil {
		// A username may hold characters that no header may; the name of a User may not.
		user = who.User.Name
	}
	return [...]string{
		who.Subject, who.Client.Name, user, boundedList(who.RoleList), boundedList(who.PermissionList), who.ID.String(), who.Kind.String(),
	}
}

func boundedList(list string) string {
	if len(list) > maxListHeader {
		return ""
	}
	return list
}

// Paths that gateways call. Requirements are in the query of the first, or in segments below the
// second.
const (
	pathVerify       = "/verify"
	pathVerifyPrefix = pathVerify + "/"
	// endOfRequirements is the segment after the last requirement.
	endOfRequirements = "-"
)

// isVerify reports whether gateways call a path.
func isVerify(path string) bool {
	return path == pathVerify || strings.HasPrefix(path, pathVerifyPrefix)
}

// Authz decides about credentials for gateways and for kube-apiservers.
type Authz struct {
	*Base
	Audiences []string // audiences of the operator's tokens in TokenReviews; empty means none
}

// forwardAuth decides whether a gateway may forward a request. Its requirements are in the query.
// Some gateways append the query of the original request, so parameters of other names are ignored,
// and a misspelled requirement with them.
func (h *Authz) forwardAuth(w http.ResponseWriter, r *http.Request) {
	facts, err := parseQueryRequirements(r.URL.RawQuery)
	if err != nil {
		setHSTS(w.Header(), r)
		writeError(w, http.StatusBadRequest, "invalid_request", "the query cannot be read")
		return
	}
	h.serveGateway(w, r, facts)
}

// forwardAuthByPath decides whether a gateway may forward a request. Its requirements are in the
// path. A requirement of an unknown name is refused: to ignore it could be to require less than was
// meant.
func (h *Authz) forwardAuthByPath(w http.ResponseWriter, r *http.Request) {
	facts, err := parsePathRequirements(r.URL.EscapedPath())
	switch {
	case errors.Is(err, errNoEndOfRequirements):
		setHSTS(w.Header(), r)
		writeNotFound(w)
	case err != nil:
		setHSTS(w.Header(), r)
		h.Audit.WriteLimited(audit.Line{
			Event: audit.EndpointMisconfigured, Endpoint: endpointNames[endpointVerify], Source: peerOf(r.RemoteAddr),
			Reason: "a requirement in the path is unknown or empty",
		})
		writeError(w, http.StatusForbidden, "server_error", "the gateway sends an unknown requirement; see the audit log")
	default:
		h.serveGateway(w, r, facts)
	}
}

// serveGateway verifies the credential of a request that a gateway holds back.
func (h *Authz) serveGateway(w http.ResponseWriter, r *http.Request, facts verify.Facts) {
	header := w.Header()
	header["Cache-Control"] = noStore
	p := presentedInHeadersAndCookies(r.Header)
	facts.Session = p.session
	who, verdict := h.verifyCredential(r.Context(), endpointVerify, p.text, facts, h.origin(r))
	if verdict == verify.Valid {
		values := identityHeaderValues(who)
		for i, name := range identityHeaders {
			header[name] = values[i : i+1 : i+1]
		}
		w.WriteHeader(http.StatusOK)
		return
	}
	setHSTS(header, r)
	switch {
	case verdict == verify.Stale:
		// Stale concerns all credentials. Undecided concerns one unknown token, and is a 401.
		writeUnavailable(w)
	case verdict.IsForbidden():
		header["Www-Authenticate"] = insufficientScopeChallenge
		writeError(w, http.StatusForbidden, "insufficient_scope", "the token is valid, and lacks what is required here")
	case p.text == "" && !p.isAmbiguous:
		header["Www-Authenticate"] = bearerChallenge
		writeError(w, http.StatusUnauthorized, "unauthorized", "a token is required")
	default:
		header["Www-Authenticate"] = invalidTokenChallenge
		writeError(w, http.StatusUnauthorized, "invalid_token", "the token is not accepted")
	}
}

var (
	errQuery               = errors.New("the query cannot be read")
	errNoEndOfRequirements = errors.New("no segment of the path ends the requirements")
	errRequirement         = errors.New("a requirement in the path is not known")
)

// parseQueryRequirements parses the requirements in a query, by the rules of url.ParseQuery. It
// ignores parameters of other names.
func parseQueryRequirements(query string) (verify.Facts, error) {
	var f verify.Facts
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		name, err1 := url.QueryUnescape(name)
		value, err2 := url.QueryUnescape(value)
		if err1 != nil || err2 != nil || strings.Contains(pair, ";") {
			return verify.Facts{}, errQuery
		}
		addRequirement(&f, name, value)
	}
	return f, nil
}

// parsePathRequirements parses the requirements in an escaped path:
//
//	/verify/permission=search.query/role=primary/-/search/all
//
// Each segment before the first "-" is a requirement. The rest is the path of the request that the
// gateway holds back, and is not parsed.
func parsePathRequirements(path string) (verify.Facts, error) {
	var f verify.Facts
	isKnown := true
	rest, more := strings.CutPrefix(path, pathVerifyPrefix)
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
			isKnown = err == nil && value != "" && addRequirement(&f, name, value)
		}
	}
	return verify.Facts{}, errNoEndOfRequirements
}

// addRequirement adds a requirement. It reports whether requirements of that name exist.
func addRequirement(f *verify.Facts, name, value string) bool {
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

// operations returns the operations for gateways.
func (h *Authz) operations() []operation {
	return []operation{
		{"", pathVerify, h.forwardAuth, description{
			id: "verify", tag: tagVerify, summary: "Verify a token for a gateway",
			text:    "A gateway sends the headers of a request that it holds back. The response says whether the token in them is valid and meets all requirements in the query. Parameters of other names are ignored, so prefer the operation with requirements in the path. The method of the request does not matter.",
			query:   []param{{name: "permission", text: "A permission that the token must have"}, {name: "role", text: "A role that the token must have"}, {name: "client", text: "The client that the token must belong to"}},
			callers: callersWithToken, responseText: "The token is valid. The headers identify its owner.", sets: identityParams, errorStatuses: []int{400, 401, 403, 503},
		}},
		// This pattern is for the document: routes.verifyByPath serves any number of segments.
		{"", "/verify/{requirements}/-/{path}", h.forwardAuthByPath, description{
			id: "verifyByPath", tag: tagVerify, summary: "Verify a token, with requirements in the path",
			text: "For a gateway that appends the path of the request that it holds back. A segment before /-/ that is not a known requirement rejects every request.",
			path: []param{
				{name: "requirements", text: "Any number of segments, each permission=…, role=… or client=…"},
				{name: "path", text: "The path of the request, with any number of segments. It is ignored"},
			},
			callers: callersWithToken, responseText: "The token is valid. The headers identify its owner.", sets: identityParams, errorStatuses: []int{401, 403, 404, 503},
		}},
	}
}
