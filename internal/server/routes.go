package server

import (
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/apptoken/operator/internal/server/authz"
	"github.com/apptoken/operator/internal/server/endpoint"
)

// routes routes requests to operations by path. It does not clean paths as http.ServeMux does,
// whose redirects repeat text of the caller. It does not decode an escaped slash either: a proxy in
// front may see another path then.
type routes struct {
	exact        map[string][]endpoint.Operation
	patterns     []routePattern
	apiUI        http.Handler     // serves the API UI; nil: there is none
	verifyByPath http.HandlerFunc // serves all paths below /verify/; nil: there is none
	// servePage serves requests for pages of other origins before an operation does. It reports
	// whether it has written the response. nil: the page does not matter.
	servePage func(http.ResponseWriter, *http.Request, []endpoint.Operation) bool
}

// routePattern is a path with segments that match any text.
type routePattern struct {
	segments   []string
	operations []endpoint.Operation
}

func newRoutes(all []endpoint.Operation) *routes {
	r := &routes{exact: map[string][]endpoint.Operation{}}
	for _, op := range all {
		if !strings.Contains(op.Path, "{") {
			r.exact[op.Path] = append(r.exact[op.Path], op)
			continue
		}
		segments := strings.Split(op.Path, "/")
		i := slices.IndexFunc(r.patterns, func(p routePattern) bool { return slices.Equal(p.segments, segments) })
		if i < 0 {
			i = len(r.patterns)
			r.patterns = append(r.patterns, routePattern{segments: segments})
		}
		r.patterns[i].operations = append(r.patterns[i].operations, op)
	}
	return r
}

var escapedSlash = regexp.MustCompile(`(?i)%2f`)

func (all *routes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if all.verifyByPath != nil && strings.HasPrefix(r.URL.EscapedPath(), authz.PathVerifyPrefix) {
		all.verifyByPath(w, r)
		return
	}
	if r.URL.Path != authz.PathVerify { // /verify sets it itself, on refusals alone
		endpoint.SetHSTS(w.Header(), r)
	}
	if r.URL.RawPath != "" && escapedSlash.MatchString(r.URL.RawPath) {
		endpoint.WriteNotFound(w)
		return
	}
	at := all.exact[r.URL.Path]
	if at == nil && all.apiUI != nil && isUI(r.URL.Path) {
		all.apiUI.ServeHTTP(w, r)
		return
	}
	if at == nil {
		at = all.match(r)
	}
	if at == nil {
		endpoint.WriteNotFound(w)
		return
	}
	if all.servePage != nil && servesPages(r.URL.Path) && all.servePage(w, r, at) {
		return
	}
	for i := range at {
		if at[i].ServesMethod(r.Method) {
			at[i].Serve(w, r)
			return
		}
	}
	methods := methodsOf(at)
	w.Header()["Allow"] = []string{strings.Join(methods, ", ")}
	endpoint.WriteError(w, http.StatusMethodNotAllowed, "invalid_request", "the method is "+strings.Join(methods, " or "))
}

// methodsOf returns the methods of operations.
func methodsOf(at []endpoint.Operation) (methods []string) {
	for i := range at {
		methods = append(methods, at[i].Method)
		if at[i].ServesMethod(http.MethodHead) {
			methods = append(methods, http.MethodHead)
		}
	}
	return methods
}

// isUI reports whether a path belongs to the API UI.
func isUI(path string) bool { return path == "/ui" || strings.HasPrefix(path, "/ui/") }

// match returns the operations of the pattern that matches a path, and sets the path values of the
// request.
func (all *routes) match(r *http.Request) []endpoint.Operation {
	got := strings.Split(r.URL.Path, "/")
	for _, p := range all.patterns {
		if !p.matches(got) {
			continue
		}
		for i, s := range p.segments {
			if name, ok := pathVariable(s); ok {
				r.SetPathValue(name, got[i])
			}
		}
		return p.operations
	}
	return nil
}

func (p routePattern) matches(got []string) bool {
	return slices.EqualFunc(p.segments, got, func(want, got string) bool {
		_, any := pathVariable(want)
		return want == got || any && got != "" && got != "." && got != ".."
	})
}

func pathVariable(segment string) (string, bool) {
	if strings.HasPrefix(segment, "{") && strings.HasSuffix(segment, "}") {
		return segment[1 : len(segment)-1], true
	}
	return "", false
}
