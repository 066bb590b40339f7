package server

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// operation is one method at one path. A segment in braces matches any text, which r.PathValue
// returns.
type operation struct {
	method string // empty: any method
	path   string
	serve  http.HandlerFunc
	doc    description
}

// routes routes requests to operations by path. It does not clean paths as http.ServeMux does,
// whose redirects repeat text of the caller. It does not decode an escaped slash either: a proxy in
// front may see another path then.
type routes struct {
	exact        map[string][]operation
	patterns     []pattern
	pages        http.Handler     // serves the API UI; nil: there is none
	verifyByPath http.HandlerFunc // serves all paths below /verify/; nil: there is none
}

// pattern is a path with segments that match any text.
type pattern struct {
	segments []string
	at       []operation
}

func newRoutes(all []operation) *routes {
	r := &routes{exact: map[string][]operation{}}
	for _, op := range all {
		if !strings.Contains(op.path, "{") {
			r.exact[op.path] = append(r.exact[op.path], op)
			continue
		}
		segments := strings.Split(op.path, "/")
		i := slices.IndexFunc(r.patterns, func(p pattern) bool { return slices.Equal(p.segments, segments) })
		if i < 0 {
			i = len(r.patterns)
			r.patterns = append(r.patterns, pattern{segments: segments})
		}
		r.patterns[i].at = append(r.patterns[i].at, op)
	}
	return r
}

var escapedSlash = regexp.MustCompile(`(?i)%2f`)

func (all *routes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if all.verifyByPath != nil && strings.HasPrefix(r.URL.EscapedPath(), belowVerify) {
		all.verifyByPath(w, r)
		return
	}
	if r.URL.Path != pathVerify { // /verify sets it itself, on refusals alone
		overTLS(w.Header(), r)
	}
	if r.URL.RawPath != "" && escapedSlash.MatchString(r.URL.RawPath) {
		nothingHere(w)
		return
	}
	at := all.exact[r.URL.Path]
	if at == nil && all.pages != nil && (r.URL.Path == "/ui" || strings.HasPrefix(r.URL.Path, "/ui/")) {
		all.pages.ServeHTTP(w, r)
		return
	}
	if at == nil {
		at = all.match(r)
	}
	if at == nil {
		nothingHere(w)
		return
	}
	var methods []string
	for i := range at {
		if at[i].answers(r.Method) {
			at[i].serve(w, r)
			return
		}
		methods = append(methods, at[i].method)
		if at[i].answers(http.MethodHead) {
			methods = append(methods, http.MethodHead)
		}
	}
	w.Header()["Allow"] = []string{strings.Join(methods, ", ")}
	problem(w, http.StatusMethodNotAllowed, "invalid_request", "the method is "+strings.Join(methods, " or "))
}

// answers reports whether an operation serves a method. HEAD is served like GET, unless the GET
// changes something.
func (op *operation) answers(method string) bool {
	return op.method == "" || op.method == method || method == http.MethodHead && op.method == http.MethodGet && !op.doc.acts
}

// match returns the operations of the pattern that matches a path, and sets the path values of the
// request.
func (all *routes) match(r *http.Request) []operation {
	got := strings.Split(r.URL.Path, "/")
	for _, p := range all.patterns {
		if !p.matches(got) {
			continue
		}
		for i, s := range p.segments {
			if name, ok := variable(s); ok {
				r.SetPathValue(name, got[i])
			}
		}
		return p.at
	}
	return nil
}

func (p pattern) matches(got []string) bool {
	return slices.EqualFunc(p.segments, got, func(want, got string) bool {
		_, any := variable(want)
		return want == got || any && got != "" && got != "." && got != ".."
	})
}

func variable(segment string) (string, bool) {
	if strings.HasPrefix(segment, "{") && strings.HasSuffix(segment, "}") {
		return segment[1 : len(segment)-1], true
	}
	return "", false
}

// nothingHere writes a 404: for what does not exist, and for what the caller may not know of.
func nothingHere(w http.ResponseWriter) {
	problem(w, http.StatusNotFound, "not_found", "there is nothing at this path")
}
