package authz

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/apptoken/operator/internal/audit"
	"github.com/apptoken/operator/internal/server/endpoint"
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
	id, kind := who.ID.String(), who.Kind.String()
	if who.ID == (verify.ID{}) {
		id, kind = "", kindPassword
	}
	return [...]string{
		who.Subject, who.Client.Name, user, boundedList(who.RoleList), boundedList(who.PermissionList), id, kind,
	}
}

// kindPassword is the kind of the credential of a user with a name and a password.
const kindPassword = "Password"

func boundedList(list string) string {
	if len(list) > maxListHeader {
		return ""
	}
	return list
}

// Paths that gateways call. Requirements are in the query of the first, or in segments below the
// second.
const (
	PathVerify       = "/verify"
	PathVerifyPrefix = PathVerify + "/"
	// endOfRequirements is the segment after the last requirement.
	endOfRequirements = "-"
)

// IsVerify reports whether gateways call a path.
func IsVerify(path string) bool {
	return path == PathVerify || strings.HasPrefix(path, PathVerifyPrefix)
}

// Handlers decides about credentials for gateways and for kube-apiservers.
type Handlers struct {
	*endpoint.Base
	Audiences []string // audiences of the operator's tokens in TokenReviews; empty means none
}

// forwardAuth decides whether a gateway may forward a request. Its requirements are in the query.
// Some gateways append the query of the original request, so parameters of other names are ignored,
// and a misspelled requirement with them.
func (h *Handlers) forwardAuth(w http.ResponseWriter, r *http.Request) {
	facts, err := ParseQueryRequirements(r.URL.RawQuery)
	if err != nil {
		endpoint.SetHSTS(w.Header(), r)
		endpoint.WriteError(w, http.StatusBadRequest, "invalid_request", "the query cannot be read")
		return
	}
	h.serveGateway(w, r, facts)
}

// ForwardAuthByPath decides whether a gateway may forward a request. Its requirements are in the
// path. A requirement of an unknown name is refused: to ignore it could be to require less than was
// meant.
func (h *Handlers) ForwardAuthByPath(w http.ResponseWriter, r *http.Request) {
	facts, err := ParsePathRequirements(r.URL.EscapedPath())
	switch {
	case errors.Is(err, errNoEndOfRequirements):
		endpoint.SetHSTS(w.Header(), r)
		endpoint.WriteNotFound(w)
	case err != nil:
		endpoint.SetHSTS(w.Header(), r)
		h.Audit.WriteLimited(audit.Line{
			Event: audit.EndpointMisconfigured, Endpoint: endpoint.Names[endpoint.Verify], Source: endpoint.PeerOf(r.RemoteAddr),
			Reason: "a requirement in the path is unknown or empty",
		})
		endpoint.WriteError(w, http.StatusForbidden, "server_error", "the gateway sends an unknown requirement; see the audit log")
	default:
		h.serveGateway(w, r, facts)
	}
}

// serveGateway verifies the credential of a request that a gateway holds back.
func (h *Handlers) serveGateway(w http.ResponseWriter, r *http.Request, facts verify.Facts) {
	header := w.Header()
	header["Cache-Control"] = endpoint.NoStore
	if h.PassPreflights && passesPreflight(h.Trusted, endpoint.PeerOf(r.RemoteAddr), forwardedMethod(r), r.Header) {
		writeIdentity(w, noIdentity)
		return
	}
	g := gateway{h.Base, endpoint.Verify}
	asked := heldRequest{
		Credentials: endpoint.CredentialsInHeadersAndCookies(r.Header), facts: facts, from: h.Origin(r),
		header: r.Header, host: r.Host, query: r.URL.RawQuery,
	}
	if original := r.Header["X-Forwarded-Host"]; len(original) == 1 {
		asked.host = original[0]
	}
	d := g.decide(r.Context(), &asked)
	if d.verdict == verify.Valid {
		writeIdentity(w, identityHeaderValues(d.who))
		return
	}
	endpoint.SetHSTS(header, r)
	refused := g.refuse(&asked, d)
	if refused.challenges != nil {
		header["Www-Authenticate"] = refused.challenges
	}
	if refused.retryAfter != "" {
		header["Retry-After"] = []string{refused.retryAfter}
	}
	endpoint.WriteError(w, refused.status, refused.code, refused.description)
}

// writeIdentity writes the response that lets a request pass.
func writeIdentity(w http.ResponseWriter, values [len(identityHeaders)]string) {
	header := w.Header()
	for i, name := range identityHeaders {
		header[name] = values[i : i+1 : i+1]
	}
	w.WriteHeader(http.StatusOK)
}

var (
	errQuery               = errors.New("the query cannot be read")
	errNoEndOfRequirements = errors.New("no segment of the path ends the requirements")
	errRequirement         = errors.New("a requirement in the path is not known")
)

// ParseQueryRequirements parses the requirements in a query, by the rules of url.ParseQuery. It
// ignores parameters of other names.
func ParseQueryRequirements(query string) (verify.Facts, error) {
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

// ParsePathRequirements parses the requirements in an escaped path:
//
//	/verify/permission=search.query/role=primary/-/search/all
//
// Each segment before the first "-" is a requirement. The rest is the path of the request that the
// gateway holds back, and is not parsed.
func ParsePathRequirements(path string) (verify.Facts, error) {
	var f verify.Facts
	isKnown := true
	rest, more := strings.CutPrefix(path, PathVerifyPrefix)
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

// Operations returns the operations for gateways.
func (h *Handlers) Operations() []endpoint.Operation {
	return []endpoint.Operation{
		{Method: "", Path: PathVerify, Serve: h.forwardAuth, Doc: endpoint.Description{
			Id: "verify", Tag: endpoint.TagVerify, Summary: "Verify a token for a gateway",
			Text:    "A gateway sends the headers of a request that it holds back. The response reports whether the token in them is valid and meets all requirements in the query. Parameters of other names are ignored, so prefer the operation with requirements in the path. The method of the request does not matter. A name and a password are accepted if a client allows them.",
			Query:   []endpoint.Param{{Name: "permission", Text: "A permission that the token must have"}, {Name: "role", Text: "A role that the token must have"}, {Name: "client", Text: "The client that the token must belong to"}},
			Callers: endpoint.CallersWithEither, ResponseText: "The token is valid. The headers identify its owner.", Sets: identityParams, ErrorStatuses: []int{400, 401, 403, 503},
		}},
		// This pattern is for the document: routes.verifyByPath serves any number of segments.
		{Method: "", Path: "/verify/{requirements}/-/{path}", Serve: h.ForwardAuthByPath, Doc: endpoint.Description{
			Id: "verifyByPath", Tag: endpoint.TagVerify, Summary: "Verify a token, with requirements in the path",
			Text: "For a gateway that appends the path of the request that it holds back. A segment before /-/ that is not a known requirement rejects every request.",
			Path: []endpoint.Param{
				{Name: "requirements", Text: "Any number of segments, each permission=…, role=… or client=…"},
				{Name: "path", Text: "The path of the request, with any number of segments. It is ignored"},
			},
			Callers: endpoint.CallersWithEither, ResponseText: "The token is valid. The headers identify its owner.", Sets: identityParams, ErrorStatuses: []int{401, 403, 404, 503},
		}},
	}
}

// identityParams describes the headers of a response to a gateway.
var identityParams = []endpoint.Param{
	{Name: headerSubject, Text: "The namespace and name of the ApplicationToken, or the name of the User of a login", Example: "shop/indexer"},
	{Name: headerClient, Text: "The client of the token", Example: "acme"},
	{Name: headerUser, Text: "The User that the token acts for; empty if it acts for a client", Example: ""},
	{Name: headerRoles, Text: "The roles, separated by commas", Example: "primary"},
	{Name: headerPermissions, Text: "The permissions, separated by commas", Example: "search.*,sec.continuous.rest"},
	{Name: headerTokenID, Text: "The name of the TokenRecord; empty for a user with a name and a password", Example: "at-1b1d8a0a5e4b4a0c9c6b7f7a2f0f1e11"},
	{Name: headerKind, Text: "The kind of the token", Example: "Application"},
}
