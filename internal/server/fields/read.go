package fields

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
	urlencoded = "application/x-www-form-urlencoded"
	multiparts = "multipart/form-data"
	object     = "application/json"

	kinds = urlencoded + ", " + multiparts + " or " + object
)

// Read reads the fields of a request, whose body may have at most most bytes. Each error is an
// *Error, and names a field only if its name is among known.
func Read(w http.ResponseWriter, r *http.Request, most int64, from Places, known ...string) (Fields, error) {
	all := values{}
	if from&Query != 0 {
		if err := all.readForm(known, r.URL.RawQuery); err != nil {
			return Fields{}, err
		}
	}
	if from&Body != 0 {
		b, err := receive(w, r, most)
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
func (v values) readBody(known names, b body) error {
	switch b.kind {
	case "":
		return nil
	case urlencoded:
		if b.narrow && !narrow(string(b.text)) {
			return bad("the body must be UTF-8, and say so")
		}
		return v.readForm(known, string(b.text))
	case multiparts:
		return v.readMultipart(known, string(b.text), b.boundary)
	case object:
		members, err := parseJSON(known, b.text)
		if err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(members)) {
			if err := v.put(known, name, members[name]); err != nil {
				return err
			}
		}
		return nil
	}
	return errKind
}

var errKind = unsupported("the body must be " + kinds)

// body is a request body with its media type.
type body struct {
	text     []byte
	kind     string // empty if the body is empty
	boundary string // of multipart
	narrow   bool   // the declared charset shares only ASCII with UTF-8
}

// narrow reports whether a form is ASCII, both as it is written and after unescaping.
func narrow(text string) bool {
	for i := range len(text) {
		if text[i] >= 0x80 || text[i] == '%' && i+1 < len(text) && strings.IndexByte("89abcdefABCDEF", text[i+1]) >= 0 {
			return false
		}
	}
	return true
}

// receive reads a body to its end.
func receive(w http.ResponseWriter, r *http.Request, most int64) (body, error) {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return body{}, &Error{Status: http.StatusRequestEntityTooLarge, Message: "the body is too large"}
	}
	if err != nil {
		return body{}, bad("the body cannot be read to its end")
	}
	if len(text) == 0 {
		return body{}, nil
	}
	for _, coding := range r.Header["Content-Encoding"] {
		if !strings.EqualFold(coding, "identity") {
			return body{}, unsupported("the body must not be compressed")
		}
	}
	b, err := kindOf(r.Header["Content-Type"])
	b.text = text
	return b, err
}

// kindOf parses the header Content-Type. An unexpected parameter may change the meaning of the
// body. A parameter with a star (RFC 2231) may change the meaning of another parameter. So neither
// is accepted.
func kindOf(header []string) (b body, err error) {
	if len(header) != 1 || strings.Contains(header[0], "*") {
		return body{}, unsupported("the header Content-Type must be there once, and say " + kinds)
	}
	kind, parameters, err := mime.ParseMediaType(header[0])
	if err != nil {
		return body{}, unsupported("the header Content-Type cannot be read")
	}
	for name, value := range parameters {
		switch {
		case name == "charset" && strings.EqualFold(value, "utf-8"):
		case name == "boundary" && kind == multiparts && value != "" && len(value) <= 70 && plain(value): // RFC 2046, section 5.1.1
			b.boundary = value
		case name == "charset" && kind == urlencoded && (strings.EqualFold(value, "us-ascii") || strings.EqualFold(value, "iso-8859-1")):
			b.narrow = true // some libraries declare it for every form
		default:
			return body{}, unsupported("the header Content-Type has a parameter that is not accepted; the charset is utf-8")
		}
	}
	if kind == multiparts && b.boundary == "" {
		return body{}, unsupported("the header Content-Type does not say the boundary")
	}
	b.kind = kind
	return b, nil
}
