package fields

import (
	"net/http"
	"slices"
)

// Error is why a request is not read. Nothing in it is taken from the request.
type Error struct {
	Status  int    // of the answer: 400, 413 or 415
	Field   string // a name that our code asked for; empty if it is about no field, or about one that a stranger named
	Message string // what is wrong; of a field, it goes on after the name
}

func (e *Error) Error() string {
	if e.Field == "" {
		return e.Message
	}
	return e.Field + " " + e.Message
}

// bad refuses a request as a whole.
func bad(message string) error { return &Error{Status: http.StatusBadRequest, Message: message} }

// unsupported refuses the way in which a body is written.
func unsupported(message string) error {
	return &Error{Status: http.StatusUnsupportedMediaType, Message: message}
}

// wrong refuses a field that our code asked for.
func wrong(name, message string) error {
	return &Error{Status: http.StatusBadRequest, Field: name, Message: message}
}

// names are those that errors may repeat, because they are ours.
type names []string

// wrong refuses a field that the request named.
func (known names) wrong(name, message string) error {
	if slices.Contains(known, name) {
		return wrong(name, message)
	}
	return bad("a field " + message)
}
