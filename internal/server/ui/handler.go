package ui

import (
	"io"
	"net/http"
	"strings"
	"time"
)

// contentSecurityPolicy lets the page load files beside it and call its own origin, and nothing
// else. No inline script or style applies, no site may frame the page, and its forms submit
// nowhere. Images may be data URLs, which the style sheet of Swagger UI has for its arrows.
const contentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"form-action 'none'; frame-ancestors 'none'; base-uri 'none'"

// Bodies of error responses. They are constants, so that they never echo a request.
const (
	notFoundBody         = `{"error":"not_found","error_description":"there is nothing at this path"}` + "\n"
	methodNotAllowedBody = `{"error":"invalid_request","error_description":"the methods are GET and HEAD"}` + "\n"
)

// Header values that responses share. They must not be modified.
var (
	contentSecurityPolicies = []string{contentSecurityPolicy}
	nosniff                 = []string{"nosniff"}
	noReferrer              = []string{"no-referrer"}
	revalidate              = []string{"no-cache"} // browsers may cache a file, but must revalidate it
	noStore                 = []string{"no-store"}
	contentTypeJSON         = []string{"application/json"}
	allowedMethods          = []string{"GET, HEAD"}
	pageLocation            = []string{"/ui/"}
)

// Handler serves /ui and everything below it.
func Handler() http.Handler {
	return site(staticFiles())
}

type site map[string]staticFile

// ServeHTTP serves a file by its escaped path. Each path has one spelling, whatever it could be
// decoded to.
func (s site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header["Content-Security-Policy"], header["X-Content-Type-Options"], header["Referrer-Policy"] = contentSecurityPolicies, nosniff, noReferrer
	path := r.URL.EscapedPath()
	f, there := s[path]
	switch {
	case !there && path != "/ui":
		writeError(w, http.StatusNotFound, notFoundBody)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		header["Allow"] = allowedMethods
		writeError(w, http.StatusMethodNotAllowed, methodNotAllowedBody)
	case !there:
		header["Location"], header["Cache-Control"] = pageLocation, noStore
		w.WriteHeader(http.StatusTemporaryRedirect)
	default:
		f.send(w, r)
	}
}

func (f staticFile) send(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header["Content-Type"], header["Etag"], header["Cache-Control"] = f.kind, f.tag, revalidate
	if len(f.encoding) > 0 {
		header["Content-Encoding"] = f.encoding
	}
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(f.body))
}

func writeError(w http.ResponseWriter, status int, body string) {
	header := w.Header()
	header["Content-Type"], header["Cache-Control"] = contentTypeJSON, noStore
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body) //nolint:errcheck // the caller is gone
}
