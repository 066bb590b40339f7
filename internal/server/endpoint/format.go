package endpoint

import (
	"net/http"
	"strings"
)

// NoError is embedded in the response body of an operation that succeeds, at paths whose programs
// test errorMessage.
type NoError struct {
	ErrorMessage *string `json:"errorMessage" doc:"Always null: the request succeeded"`
}

// EnvelopeFault is a fault in the format of Funnelback and the Squiz DXP.
type EnvelopeFault struct {
	ErrorMessage string  `json:"errorMessage" doc:"The reason, the same as error_description"`
	Data         *string `json:"data" doc:"Always null"`
	Fault
}

// SuccessFault is a fault in the format of TeleTracker.
type SuccessFault struct {
	Success bool `json:"success" doc:"Always false"`
	Fault
}

// faultFormat returns the body of an error response from its fault.
type faultFormat func(Fault) any

// faultFormats are the formats of the protocols whose programs expect more than a Fault. They hold
// at a path and at all paths below it, whether or not there is an operation.
var faultFormats = []struct {
	path   string
	format faultFormat
}{
	{"/auth", func(f Fault) any { return SuccessFault{Fault: f} }},
	{"/account", inEnvelope},
	{"/application-tokens", inEnvelope},
	{"/admin-api", inEnvelope},
}

func inEnvelope(f Fault) any { return EnvelopeFault{ErrorMessage: f.Description, Fault: f} }

// faultFormatAt returns the format of errors at a path, or nil where the body is the Fault.
func faultFormatAt(path string) faultFormat {
	for i := range faultFormats {
		rest, ok := strings.CutPrefix(path, faultFormats[i].path)
		if ok && (rest == "" || rest[0] == '/') {
			return faultFormats[i].format
		}
	}
	return nil
}

// FaultBodyAt returns an empty error response at a path, for its description.
func FaultBodyAt(path string) any {
	if format := faultFormatAt(path); format != nil {
		return format(Fault{})
	}
	return Fault{}
}

// WithFaultFormat returns a ResponseWriter for a request at a path. Each Fault that WriteJSON
// writes to it gets the format of the login protocol that the path belongs to. So handlers, and
// code that knows no protocol, write the same Fault. It returns w itself where there is no such
// format, so it allocates nothing there.
func WithFaultFormat(w http.ResponseWriter, path string) http.ResponseWriter {
	format := faultFormatAt(path)
	if format == nil {
		return w
	}
	return &formattingWriter{w, format}
}

// formattingWriter is a ResponseWriter that knows the format of faults.
type formattingWriter struct {
	http.ResponseWriter
	format faultFormat
}

// Unwrap returns the wrapped ResponseWriter, for http.ResponseController.
func (w *formattingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// formatFault returns the body of an error response to w.
func formatFault(w http.ResponseWriter, f Fault) any {
	if formatting, ok := w.(*formattingWriter); ok {
		return formatting.format(f)
	}
	return f
}
