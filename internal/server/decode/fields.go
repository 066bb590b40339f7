package decode

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits of one request.
const (
	maxFields     = 64      // in all places together, and in each ParseJSON object
	maxNameBytes  = 128     // bytes
	maxValueBytes = 8 << 10 // bytes, of a text or a number
	maxDepth      = 8       // nested objects and arrays
)

// Fields are the fields of a request by name. Every method returns false for a name that is absent
// or null, and except List for the empty text. Programs send all fields of a form, also those that
// their users left empty. Each error is an *Error that names the field.
type Fields struct{ values values }

// values holds the fields: those of forms and queries as written, those of ParseJSON as
// json.Decoder returns them.
type values map[string]any

// untyped is a value of a form or a query, which has no type.
type untyped string

// add adds a field, within the limits and once for each name.
func (v values) add(known knownNames, name string, value any) error {
	switch _, twice := v[name]; {
	case twice:
		return known.fieldError(name, "is there twice")
	case name == "":
		return badRequest("a field has no name")
	case len(name) > maxNameBytes:
		return badRequest("a field has a name that is too long")
	case len(v) == maxFields:
		return badRequest("there are too many fields")
	}
	v[name] = value
	return nil
}

// TooLong is the message for a value that is too long.
const TooLong = "is too long"

// notText is the message for a value that is not text; errName is the error for such a name.
const notText = "is not UTF-8, or has a NUL in it"

var errName = badRequest("a field has a name that " + notText)

// addText adds a field of a form or a query.
func (v values) addText(known knownNames, name, text string) error {
	switch {
	case !isPlainText(name):
		return errName
	case known.isOpaque(name):
	case !isPlainText(text):
		return known.fieldError(name, notText)
	case len(text) > maxValueBytes:
		return known.fieldError(name, TooLong)
	}
	return v.add(known, name, untyped(text))
}

// isPlainText reports whether text is UTF-8 without NUL.
func isPlainText(text string) bool {
	return utf8.ValidString(text) && strings.IndexByte(text, 0) < 0
}

// Text returns a field as it was written. In ParseJSON it must be a string.
func (f Fields) Text(name string) (string, bool, error) {
	switch v := f.values[name].(type) {
	case nil:
		return "", false, nil
	case untyped:
		return string(v), v != "", nil
	case string:
		return v, v != "", nil
	}
	return "", false, fieldError(name, "must be text")
}

// Required returns a text field that must be present and not empty.
func (f Fields) Required(name string) (string, error) {
	text, _, err := f.Text(name)
	if err == nil && text == "" {
		err = fieldError(name, "is required")
	}
	return text, err
}

// Integer returns a whole number from least to most. A number has one spelling: digits, after a
// minus if it is negative.
func (f Fields) Integer(name string, least, most int64) (int64, bool, error) {
	text, isScalar := scalarText(f.values[name])
	if isScalar && text == "" {
		return 0, false, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != text || n < least || n > most {
		return 0, false, fieldError(name, fmt.Sprintf("must be a whole number from %d to %d", least, most))
	}
	return n, true, nil
}

// Flag returns true for true, on, yes and 1, and false for false, off, no and 0, in upper or lower
// case. Browsers send on for a ticked box.
func (f Fields) Flag(name string) (value, there bool, err error) {
	if v, isBool := f.values[name].(bool); isBool {
		return v, true, nil
	}
	text, isScalar := scalarText(f.values[name])
	switch strings.ToLower(text) { // EqualFold would match ſ with s
	case "":
		if isScalar {
			return false, false, nil
		}
	case "true", "on", "yes", "1":
		return true, true, nil
	case "false", "off", "no", "0":
		return false, true, nil
	}
	return false, false, fieldError(name, "must be true or false")
}

// scalarText returns the text of a value that is text or a number. It is empty for null.
func scalarText(value any) (text string, isScalar bool) {
	switch v := value.(type) {
	case nil:
		return "", true
	case untyped:
		return string(v), true
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	}
	return "", false
}

// List returns a list of text. In ParseJSON it is an array of strings. Elsewhere it is one value
// with commas, and the empty value is the empty list. No element may be empty.
func (f Fields) List(name string) ([]string, bool, error) {
	list := []string{}
	switch v := f.values[name].(type) {
	case nil:
		return nil, false, nil
	case untyped:
		if v != "" {
			list = strings.Split(string(v), ",")
		}
	case []any:
		for _, each := range v {
			text, _ := each.(string) // the empty string for any other type, which is refused below
			list = append(list, text)
		}
	default:
		return nil, false, fieldError(name, "must be a list of texts")
	}
	if slices.Contains(list, "") {
		return nil, false, fieldError(name, "must be a list of texts, none of them empty")
	}
	return list, true, nil
}
