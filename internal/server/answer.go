package server

import (
	"encoding/json"
	"errors"
	"net/http"
)

// Header values that responses share. They must not be modified.
var (
	noStore   = []string{"no-store"}
	isJSON    = []string{"application/json"}
	challenge = []string{`Bearer realm="apptoken"`}
	invalid   = []string{`Bearer realm="apptoken", error="invalid_token"`}
	// basic has a charset (RFC 7617, section 2.1): without it, clients send Latin-1.
	basic        = []string{`Basic realm="apptoken", charset="UTF-8"`}
	insufficient = []string{`Bearer realm="apptoken", error="insufficient_scope"`}
	soon         = []string{"5"}
	nosniff      = []string{"nosniff"}
	noContent    = []string{"default-src 'none'; frame-ancestors 'none'"}
	hsts         = []string{"max-age=31536000"}
)

// fault is the body of an error response, as in RFC 6749, section 5.2.
type fault struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
	Field       string `json:"field,omitempty"` // name of the request field in error
}

// problem writes an error response. No text of the request may be part of description, so that an
// error never echoes a request.
func problem(w http.ResponseWriter, status int, code, description string) {
	answer(w, status, fault{Error: code, Description: description})
}

// unreadable returns the status for a body that is too large or ends early.
func unreadable(err error) int {
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusBadRequest
}

// unavailable writes a 503: the endpoint cannot decide now, and the caller may retry.
func unavailable(w http.ResponseWriter) {
	w.Header()["Retry-After"] = soon
	problem(w, http.StatusServiceUnavailable, "temporarily_unavailable", "the operator cannot decide now; try again")
}

// restrain sets headers that keep a browser from treating a response as anything but data.
func restrain(header http.Header) {
	header["X-Content-Type-Options"], header["Content-Security-Policy"] = nosniff, noContent
}

// overTLS sets Strict-Transport-Security on a response over TLS, so that browsers use TLS alone
// from then on (RFC 6797).
func overTLS(header http.Header, r *http.Request) {
	if r.TLS != nil {
		header["Strict-Transport-Security"] = hsts
	}
}

// answer writes a JSON response.
func answer(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil { // unreachable: this package's types marshal, whatever a caller sends
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	header := w.Header()
	header["Content-Type"], header["Cache-Control"] = isJSON, noStore
	restrain(header)
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) //nolint:errcheck // the caller is gone
}
