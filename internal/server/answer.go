package server

import (
	"encoding/json"
	"errors"
	"net/http"
)

// Values of headers that every answer of their kind shares. They are never changed.
var (
	noStore      = []string{"no-store"}
	isJSON       = []string{"application/json"}
	challenge    = []string{`Bearer realm="apptoken"`}
	invalid      = []string{`Bearer realm="apptoken", error="invalid_token"`}
	basic        = []string{`Basic realm="apptoken", charset="UTF-8"`} // RFC 7617, 2.1: without charset, clients send Latin-1
	insufficient = []string{`Bearer realm="apptoken", error="insufficient_scope"`}
	soon         = []string{"5"}
	nosniff      = []string{"nosniff"}
	noContent    = []string{"default-src 'none'; frame-ancestors 'none'"}
	hsts         = []string{"max-age=31536000"}
)

// fault is the body of an answer that refuses, in the words of RFC 6749, 5.2.
type fault struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
	Field       string `json:"field,omitempty"` // the name of the field of the request that it is about
}

// problem writes a refusal. Its texts are constants, so that nothing of a request comes back.
func problem(w http.ResponseWriter, status int, code, description string) {
	answer(w, status, fault{Error: code, Description: description})
}

// unreadable is the status for a body that could not be read: it is too large, or ends in the middle.
func unreadable(err error) int {
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusBadRequest
}

// unavailable says that the question cannot be answered now.
func unavailable(w http.ResponseWriter) {
	w.Header()["Retry-After"] = soon
	problem(w, http.StatusServiceUnavailable, "temporarily_unavailable", "it cannot be told now; ask again")
}

// restrain keeps a browser from taking an answer for something else than data.
func restrain(header http.Header) {
	header["X-Content-Type-Options"], header["Content-Security-Policy"] = nosniff, noContent
}

// overTLS tells a browser to come over TLS alone from now on, if it did (RFC 6797).
func overTLS(header http.Header, r *http.Request) {
	if r.TLS != nil {
		header["Strict-Transport-Security"] = hsts
	}
}

// answer writes what a door says.
func answer(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil { // of types that are ours: no caller can bring it about
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	header := w.Header()
	header["Content-Type"], header["Cache-Control"] = isJSON, noStore
	restrain(header)
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) //nolint:errcheck // whoever asked has gone
}
