package endpoint

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"
)

// Header values that responses share. They must not be modified.
var (
	NoStore               = []string{"no-store"}
	ContentTypeJSON       = []string{"application/json"}
	BearerChallenge       = []string{`Bearer realm="apptoken"`}
	InvalidTokenChallenge = []string{`Bearer realm="apptoken", error="invalid_token"`}
	// BasicChallenge has a charset (RFC 7617, section 2.1): without it, clients send Latin-1.
	BasicChallenge             = []string{`Basic realm="apptoken", charset="UTF-8"`}
	bearerAndBasicChallenge    = []string{BearerChallenge[0], BasicChallenge[0]}
	InsufficientScopeChallenge = []string{`Bearer realm="apptoken", error="insufficient_scope"`}
	RetryAfterSoon             = []string{"5"}
	Nosniff                    = []string{"nosniff"}
	ContentSecurityPolicy      = []string{"default-src 'none'; frame-ancestors 'none'"}
	strictTransportSecurity    = []string{"max-age=31536000"}
)

// Fault is the body of an error response, as in RFC 6749, section 5.2. Some login protocols add
// members; see WithFaultFormat.
type Fault struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
	Field       string `json:"field,omitempty"` // name of the request field in error
}

// WriteError writes an error response. No text of the request may be part of description, so that
// an error never echoes a request.
func WriteError(w http.ResponseWriter, status int, code, description string) {
	WriteJSON(w, status, Fault{Error: code, Description: description})
}

// ReadErrorStatus returns the status for a body that is too large or ends early.
func ReadErrorStatus(err error) int {
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusBadRequest
}

// WriteUnavailable writes a 503: the endpoint cannot decide now, and the caller may retry.
func WriteUnavailable(w http.ResponseWriter) {
	w.Header()["Retry-After"] = RetryAfterSoon
	WriteError(w, http.StatusServiceUnavailable, "temporarily_unavailable", "the operator cannot decide now; try again")
}

// SetBrowserHeaders sets headers that keep a browser from treating a response as anything but data.
func SetBrowserHeaders(header http.Header) {
	header["X-Content-Type-Options"], header["Content-Security-Policy"] = Nosniff, ContentSecurityPolicy
}

// SetHSTS sets Strict-Transport-Security on a response over TLS, so that browsers use TLS alone
// from then on (RFC 6797).
func SetHSTS(header http.Header, r *http.Request) {
	if r.TLS != nil {
		header["Strict-Transport-Security"] = strictTransportSecurity
	}
}

// WriteJSON writes a JSON response. A Fault gets the format of the protocol; see WithFaultFormat.
func WriteJSON(w http.ResponseWriter, status int, body any) {
	if f, isFault := body.(Fault); isFault {
		body = formatFault(w, f)
	}
	text, err := json.Marshal(body)
	if err != nil { // unreachable: this package's types marshal, whatever a caller sends
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	header := w.Header()
	header["Content-Type"], header["Cache-Control"] = ContentTypeJSON, NoStore
	SetBrowserHeaders(header)
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) //nolint:errcheck // the caller is gone
}

// WriteNotFound writes a 404: for what does not exist, and for what the caller may not know of.
func WriteNotFound(w http.ResponseWriter) {
	WriteError(w, http.StatusNotFound, "not_found", "there is nothing at this path")
}

// RetryAfterSeconds returns a duration in whole seconds, rounded up and at least 1, for a header.
func RetryAfterSeconds(d time.Duration) string {
	return strconv.Itoa(max(1, int(math.Ceil(d.Seconds()))))
}

// MaxAPIWait is how long a revocation or a management request waits for the API server.
const MaxAPIWait = 5 * time.Second

// WriteRevoked writes the response to every revocation after which the token is not valid, or never
// was.
func WriteRevoked(w http.ResponseWriter) { WriteJSON(w, http.StatusOK, struct{}{}) }
