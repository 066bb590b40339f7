package decode

import (
	"errors"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"
)

// Places are the parts of a request that may have fields.
type Places uint8

// Values of Places.
const (
	Query Places = 1 << iota
	Body
)

// Media types of bodies.
const (
	typeForm      = "application/x-www-form-urlencoded"
	typeMultipart = "multipart/form-data"
	object        = "application/json"

	contentTypes = typeForm + ", " + typeMultipart + " or " + object
)

// Read reads the fields of a request, whose body may have at most most bytes. Each error is an
// *Error, and names a field only if its name is among known.
func Read(w http.ResponseWriter, r *http.Request, most int64, from Places, known ...string) (Fields, error) {
	return readPlaces(w, r, most, from, knownNames{names: known})
}

// ReadOpaque reads the fields of a body as Read does. The values of opaque fields may be any bytes,
// as many as the body may have.
func ReadOpaque(w http.ResponseWriter, r *http.Request, most int64, opaque []string, known ...string) (Fields, error) {
	return readPlaces(w, r, most, Body, knownNames{names: slices.Concat(known, opaque), opaque: opaque})
}

func readPlaces(w http.ResponseWriter, r *http.Request, most int64, from Places, known knownNames) (Fields, error) {
	all := values{}
	if from&Query != 0 {
		if err := all.readForm(known, r.URL.RawQuery); err != nil {
			return Fields{}, err
		}
	}
	if from&Body != 0 {
		b, err := readRequestBody(w, r, most)
		if err == nil {
			err = all.readBody(known, b)
		}
		if err != nil {
			return Fields{}, err
		}
	}
	return Fields{all}, nil
}

// readBody adds the fields of a body.
func (v values) readBody(known knownNames, b requestBody) error {
	switch b.kind {
	case "":
		return nil
	case typeForm:
		if b.isASCIIOnly && !isASCIIForm(string(b.text)) {
			return badRequest("the body must be UTF-8, and say so")
		}
		return v.readForm(known, string(b.text))
	case typeMultipart:
		return v.readMultipart(known, string(b.text), b.boundary)
	case object:
		members, err := parseJSON(known, b.text)
		if err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(members)) {
			if err := v.add(known, name, members[name]); err != nil {
				return err
			}
		}
		return nil
	}
	return errContentType
}

var errContentType = unsupportedMediaType("the body must be " + contentTypes)

// requestBody is a request body with its media type.
type requestBody struct {
	text        []byte
	kind        string // empty if the body is empty
	boundary    string // of multipart
	isASCIIOnly bool   // the declared charset shares only ASCII with UTF-8
}

// isASCIIForm reports whether a form is ASCII, both as it is written and after unescaping.
func isASCIIForm(text string) bool {
	for i := range len(text) {
		if text[i] >= 0x80 || text[i] == '%' && i+1 < len(text) && strings.IndexByte("89abcdefABCDEF", text[i+1]) >= 0 {
			return false
		}
	}
	return true
}

// readRequestBody reads a body to its end.
func readRequestBody(w http.ResponseWriter, r *http.Request, most int64) (requestBody, error) {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return requestBody{}, &Error{Status: http.StatusRequestEntityTooLarge, Message: "the body is too large"}
	}
	if err != nil {
		return requestBody{}, badRequest("the body cannot be read to its end")
	}
	if len(text) == 0 {
		return requestBody{}, nil
	}
	for _, coding := range r.Header["Content-Encoding"] {
		if !strings.EqualFold(coding, "identity") {
			return requestBody{}, unsupportedMediaType("the body must not be compressed")
		}
	}
	b, err := parseContentType(r.Header["Content-Type"])
	b.text = text
	return b, err
}

// parseContentType parses the header Content-Type. An unexpected parameter may change the meaning
// of the body. A parameter with a star (RFC 2231) may change the meaning of another parameter. So
// neither is accepted.
func parseContentType(header []string) (b requestBody, err error) {
	if len(header) != 1 || strings.Contains(header[0], "*") {
		return requestBody{}, unsupportedMediaType("the header Content-Type must be there once, and say " + contentTypes)
	}
	kind, parameters, err := mime.ParseMediaType(header[0])
	if err != nil {
		return requestBody{}, unsupportedMediaType("the header Content-Type cannot be read")
	}
	for name, value := range parameters {
		switch {
		case name == "charset" && strings.EqualFold(value, "utf-8"):
		case name == "boundary" && kind == typeMultipart && value != "" && len(value) <= 70 && isPlainText(value): // RFC 2046, section 5.1.1
			b.boundary = value
		case name == "charset" && kind == typeForm && (strings.EqualFold(value, "us-ascii") || strings.EqualFold(value, "iso-8859-1")):
			b.isASCIIOnly = true // some libraries declare it for every form
		default:
			return requestBody{}, unsupportedMediaType("the header Content-Type has a parameter that is not accepted; the charset is utf-8")
		}
	}
	if kind == typeMultipart && b.boundary == "" {
		return requestBody{}, unsupportedMediaType("the header Content-Type does not say the boundary")
	}
	b.kind = kind
	return b, nil
}
