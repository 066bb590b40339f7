package server

import (
	"encoding/json"
	"errors"
	"net/http"
)

// Header values that responses share. They must not be modified.
var (
	noStore               = []string{"no-store"}
	contentTypeJSON       = []string{"application/json"}
	bearerChallenge       = []string{`Bearer realm="apptoken"`}
	invalidTokenChallenge = []string{`Bearer realm="apptoken", error="invalid_token"`}
	// basic has a charset (RFC 7617, section 2.1): without it, clients send Latin-1.
	basic                      = []string{`Basic realm="apptoken", charset="UTF-8"`}
	insufficientScopeChallenge = []string{`Bearer realm="apptoken", error="insufficient_scope"`}
	retryAfterSoon             = []string{"5"}
	nosniff                    = []string{"nosniff"}
	contentSecurityPolicy      = []string{"default-src 'none'; frame-ancestors 'none'"}
	strictTransportSecurity    = []string{"max-age=31536000"}
)

// fault is the body of an error response, as in RFC 6749, section 5.2.
type fault struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
	Field       string `json:"field,omitempty"` // name of the request field in error
}

// writeError writes an error response. No text of the request may be part of description, so that
// an error never echoes a request.
func writeError(w http.ResponseWriter, status int, code, description string) {
	writeJSON(w, status, fault{Error: code, Description: description})
}

// unreadable returns the status for a body that is too large or ends early.
func unreadable(err error) int {
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusBadRequest
}

// writeUnavailable writes a 503: the endpoint cannot decide now, and the caller may retry.
func writeUnavailable(w http.ResponseWriter) {
	w.Header()["Retry-After"] = retryAfterSoon
	writeError(w, http.StatusServiceUnavailable, "temporarily_unavailable", "the operator cannot decide now; try again")
}

// setBrowserHeaders sets headers that keep a browser from treating a response as anything but data.
func setBrowserHeaders(header http.Header) {
	header["X-Content-Type-Options"], header["Content-Security-Policy"] = nosniff, contentSecurityPolicy
}

// setHSTS sets Strict-Transport-Security on a response over TLS, so that browsers use TLS alone
// from then on (RFC 6797).
func setHSTS(header http.Header, r *http.Request) {
	if r.TLS != nil {
		header["Strict-Transport-Security"] = strictTransportSecurity
	}
}

// writeJSON writes a JSON response.
func writeJSON(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil { // unreachable: this package's types marshal, whatever a caller sends
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	header := w.Header()
	header["Content-Type"], header["Cache-Control"] = contentTypeJSON, noStore
	setBrowserHeaders(header)
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) //nolint:errcheck // the caller is gone
}
