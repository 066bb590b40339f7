package decode

import (
	"net/http"
	"slices"
)

// Error is the reason why a request is not accepted. No text in it is taken from the request.
type Error struct {
	Status  int    // of the response: 400, 413 or 415
	Field   string // a known name; empty if the error concerns no field, or an unknown one
	Message string // the problem; it continues a sentence that starts with Field
}

func (e *Error) Error() string {
	if e.Field == "" {
		return e.Message
	}
	return e.Field + " " + e.Message
}

// badRequest returns an error about a request as a whole.
func badRequest(message string) error { return &Error{Status: http.StatusBadRequest, Message: message} }

// unsupportedMediaType returns an error about the encoding of a body.
func unsupportedMediaType(message string) error {
	return &Error{Status: http.StatusUnsupportedMediaType, Message: message}
}

// fieldError returns an error about a field that the caller asked for.
func fieldError(name, message string) error {
	return &Error{Status: http.StatusBadRequest, Field: name, Message: message}
}

// knownNames are the known field names, which errors may repeat.
type knownNames struct {
	names []string
	// opaque are the fields whose values may be any bytes, as many as the body may have: they are
	// credentials, and an odd one is one that is not accepted.
	opaque []string
}

// isOpaque reports whether the value of a field may be any bytes.
func (known knownNames) isOpaque(name string) bool { return slices.Contains(known.opaque, name) }

// fieldError returns an error about a field of the request. It has the name only if that is known.
func (known knownNames) fieldError(name, message string) error {
	if slices.Contains(known.names, name) {
		return fieldError(name, message)
	}
	return badRequest("a field " + message)
}
