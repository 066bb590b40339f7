package ui

import (
	"io"
	"net/http"
	"strings"
	"time"
)

// policy lets the page load files beside it and call its own origin, and nothing else. No inline
// script or style applies, no site may frame the page, and its forms submit nowhere. Images may be
// data URLs, which the style sheet of Swagger UI has for its arrows.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"form-action 'none'; frame-ancestors 'none'; base-uri 'none'"

// Bodies of error responses. They are constants, so that they never echo a request.
const (
	nothing   = `{"error":"not_found","error_description":"there is nothing at this path"}` + "\n"
	readsOnly = `{"error":"invalid_request","error_description":"the methods are GET and HEAD"}` + "\n"
)

// Header values that responses share. They must not be modified.
var (
	policies = []string{policy}
	nosniff  = []string{"nosniff"}
	noRefer  = []string{"no-referrer"}
	recheck  = []string{"no-cache"} // browsers may cache a file, but must revalidate it
	noStore  = []string{"no-store"}
	isJSON   = []string{"application/json"}
	allowed  = []string{"GET, HEAD"}
	page     = []string{"/ui/"}
)

// Handler serves /ui and everything below it.
func Handler() http.Handler {
	return site(content())
}

type site map[string]file

// ServeHTTP serves a file by its escaped path. Each path has one spelling, whatever it could be
// decoded to.
func (s site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header["Content-Security-Policy"], header["X-Content-Type-Options"], header["Referrer-Policy"] = policies, nosniff, noRefer
	path := r.URL.EscapedPath()
	f, there := s[path]
	switch {
	case !there && path != "/ui":
		refuse(w, http.StatusNotFound, nothing)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		header["Allow"] = allowed
		refuse(w, http.StatusMethodNotAllowed, readsOnly)
	case !there:
		header["Location"], header["Cache-Control"] = page, noStore
		w.WriteHeader(http.StatusTemporaryRedirect)
	default:
		f.send(w, r)
	}
}

func (f file) send(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header["Content-Type"], header["Etag"], header["Cache-Control"] = f.kind, f.tag, recheck
	if len(f.encoding) > 0 {
		header["Content-Encoding"] = f.encoding
	}
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(f.body))
}

func refuse(w http.ResponseWriter, status int, body string) {
	header := w.Header()
	header["Content-Type"], header["Cache-Control"] = isJSON, noStore
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body) //nolint:errcheck // the caller is gone
}
