package soap

import (
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/apptoken/operator/internal/server/endpoint"
)

// maxMessage is the maximum size of a message, in bytes.
const maxMessage = 64 << 10

// readMessage reads the message of a request, and returns the version of SOAP in which its answer
// is written, even with an error: that of the message, or of its media type if it has none.
func readMessage(w http.ResponseWriter, r *http.Request) (*version, call, error) {
	v, action, err := parseContentType(r.Header)
	if err != nil {
		return v, call{}, err
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxMessage))
	if err != nil {
		status := endpoint.ReadErrorStatus(err)
		if status == http.StatusRequestEntityTooLarge {
			return v, call{}, &fault{status: status, reason: "the message is too large"}
		}
		return v, call{}, callerFault("the message cannot be read to its end")
	}
	written, c, err := parseEnvelope(text)
	if written != nil {
		v = written
	}
	if err != nil {
		return v, call{}, err
	}
	for _, a := range slices.Concat(r.Header["Soapaction"], []string{action}) {
		if !namesOperation(a, c.operation) {
			return v, call{}, callerFault("the SOAPAction is not the operation in the Body; it may be empty")
		}
	}
	return v, c, nil
}

// parseContentType returns the version of SOAP that a media type belongs to, and the parameter
// action of SOAP 1.2. For other media types, such as those of attachments, the version is SOAP 1.1.
func parseContentType(header http.Header) (v *version, action string, err error) {
	unsupported := func(reason string) (*version, string, error) {
		return soap11, "", &fault{status: http.StatusUnsupportedMediaType, reason: reason}
	}
	values := header["Content-Type"]
	if len(values) != 1 {
		return unsupported("the header Content-Type must be there once")
	}
	kind, parameters, err := mime.ParseMediaType(values[0])
	if err != nil || kind != soap11.mediaType && kind != soap12.mediaType {
		return unsupported("the message must be text/xml for SOAP 1.1, or application/soap+xml for SOAP 1.2, without attachments")
	}
	if charset, there := parameters["charset"]; there && !strings.EqualFold(charset, "utf-8") && !strings.EqualFold(charset, "us-ascii") {
		return unsupported("the charset of the message must be utf-8")
	}
	for _, coding := range header["Content-Encoding"] {
		if !strings.EqualFold(coding, "identity") {
			return unsupported("the message must not be compressed")
		}
	}
	if kind == soap12.mediaType {
		return soap12, parameters["action"], nil
	}
	return soap11, "", nil
}

// namesOperation reports whether an action is empty or names an operation. Clients write the name
// alone, or after a namespace.
func namesOperation(action, operation string) bool {
	if unquoted, ok := strings.CutPrefix(action, `"`); ok {
		action = strings.TrimSuffix(unquoted, `"`)
	}
	action = action[strings.LastIndexAny(action, "/#:")+1:]
	return action == "" || action == operation
}
