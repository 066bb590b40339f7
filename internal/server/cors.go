package server

import (
	"net/http"
	"slices"
	"strings"

	"github.com/apptoken/operator/internal/audit"
	"github.com/apptoken/operator/internal/server/authz"
	"github.com/apptoken/operator/internal/server/endpoint"
	"github.com/apptoken/operator/internal/server/loginapi"
)

// This file serves pages of other origins (https://fetch.spec.whatwg.org/#http-cors-protocol):
// those of --cors-allowed-origins may call the operator from a browser, and all others may not.

// Header values that responses share. They must not be modified.
var (
	varyOrigin       = []string{"Origin"}
	allowCredentials = []string{"true"}
	// exposedHeaders are the response headers that a page may read.
	exposedHeaders = []string{"X-Security-Token, WWW-Authenticate, Retry-After"}
	// requestHeaders are the request headers that a page may set. A wildcard would not cover
	// Authorization.
	requestHeaders = []string{"Authorization, Authentication, X-Security-Token, Content-Type, Idempotency-Key, SOAPAction"}
	// preflightMaxAge is how long a browser may go without another preflight, in seconds. An origin
	// that is removed from the list is rejected at once, by the request itself.
	preflightMaxAge = []string{"600"}
)

// servesPages reports whether pages of other origins may call a path. They do not need the page
// /ui/ and its document. At /verify, the origin is that of a request to another system, which a
// gateway holds back.
func servesPages(path string) bool {
	return !authz.IsVerify(path) && path != pathOpenAPI && !isUI(path)
}

// allowOrigins returns a handler that lets pages of allowed origins read all responses, errors too.
func (e *Endpoints) allowOrigins(next http.Handler) http.Handler {
	if e.Origins.IsEmpty() {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if servesPages(r.URL.Path) {
			header := w.Header()
			header["Vary"] = varyOrigin // also without an Origin: a cache could give that response to a page
			if origin := e.AllowedOrigin(r); origin != "" {
				header["Access-Control-Allow-Origin"] = []string{origin}
				header["Access-Control-Allow-Credentials"] = allowCredentials
				header["Access-Control-Expose-Headers"] = exposedHeaders
			}
		}
		next.ServeHTTP(w, r)
	})
}

// servePage answers preflights of pages of other origins, and refuses all requests for pages that
// are not allowed. A browser may have added cookies or a stored password to them. servePage reports
// whether it has written the response. at holds the operations at the path.
func (e *Endpoints) servePage(w http.ResponseWriter, r *http.Request, at []endpoint.Operation) bool {
	page, isPreflight := e.PageOf(r), isPreflight(r)
	if page == endpoint.OwnPage {
		return false
	}
	i := slices.IndexFunc(at, func(op endpoint.Operation) bool { return op.ServesMethod(r.Method) })
	switch {
	case page == endpoint.AllowedPage && !isPreflight, i >= 0 && at[i].IsPublic:
		return false
	case page == endpoint.AllowedPage:
		header := w.Header()
		header["Access-Control-Allow-Methods"] = []string{strings.Join(methodsOf(at), ", ")}
		header["Access-Control-Allow-Headers"] = requestHeaders
		header["Access-Control-Max-Age"] = preflightMaxAge
		header["Cache-Control"] = endpoint.NoStore
		w.WriteHeader(http.StatusNoContent)
	default:
		e.refusePage(w, r)
	}
	return true
}

// isPreflight reports whether a browser asks what a page of another origin may send.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && len(r.Header["Origin"]) > 0 && len(r.Header["Access-Control-Request-Method"]) > 0
}

// refusePage writes the response to a request for a page that is not allowed, and an audit
// event. No password was checked, so the request counts as no failed login.
func (e *Endpoints) refusePage(w http.ResponseWriter, r *http.Request) {
	verdict, why := refusedOrigin(r.Header["Origin"])
	e.Audit.WriteLimited(e.WithOrigin(r, audit.Line{Event: audit.OriginRefused, Protocol: loginapi.ProtocolOf(r), Verdict: verdict}))
	endpoint.WriteError(w, http.StatusForbidden, "origin_not_allowed", why)
}

// refusedOrigin returns the audit verdict, and the description, of a request whose Origin headers
// name no allowed origin. Neither repeats them.
func refusedOrigin(origins []string) (verdict, why string) {
	switch {
	case len(origins) == 0:
		return "OriginMissing", "a page of another site caused this request by a link, an image or a form; a browser names no origin then, so the page cannot be allowed"
	case len(origins) > 1:
		return "OriginAmbiguous", "the request has several Origin headers; send one"
	case origins[0] == "null":
		return "OriginNull", "a page without an origin of its own, such as a file or a sandboxed frame, asks for this; --cors-allowed-origins cannot list it, so serve the page over https and list its origin"
	default:
		return "OriginNotListed", "a page of another origin asks for this, and the operator does not allow that origin; to allow it, list it in --cors-allowed-origins"
	}
}
