package fields

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds of what one request may say.
const (
	mostFields = 64      // in all places together, and in each object of JSON
	mostName   = 128     // bytes
	mostValue  = 8 << 10 // bytes, of a text or of a number
	mostDepth  = 8       // objects and arrays within one another
)

// Fields are what a request says, by name. Every method returns false for a name that is not there, or is null; each error
// is an *Error that names the field.
type Fields struct{ values values }

// values are the fields: written, from forms and queries; from JSON what json.Decoder makes of it.
type values map[string]any

// written is a value that came without a type.
type written string

// put adds a field, if it is the first of its name.
func (v values) put(known names, name string, value any) error {
	switch _, twice := v[name]; {
	case twice:
		return known.wrong(name, "is there twice")
	case name == "":
		return bad("a field has no name")
	case len(name) > mostName:
		return bad("a field has a name that is too long")
	case len(v) == mostFields:
		return bad("there are too many fields")
	}
	v[name] = value
	return nil
}

// notText is said of a value; errName, of a name that is none either.
const notText = "is not UTF-8, or has a NUL in it"

var errName = bad("a field has a name that " + notText)

// write adds a field of a form or of a query.
func (v values) write(known names, name, text string) error {
	switch {
	case !plain(name):
		return errName
	case !plain(text):
		return known.wrong(name, notText)
	case len(text) > mostValue:
		return known.wrong(name, "is too long")
	}
	return v.put(known, name, written(text))
}

// plain says whether it is text.
func plain(text string) bool {
	return utf8.ValidString(text) && strings.IndexByte(text, 0) < 0
}

// Text is a field as it was written; in JSON it must be a string.
func (f Fields) Text(name string) (string, bool, error) {
	switch v := f.values[name].(type) {
	case nil:
		return "", false, nil
	case written:
		return string(v), true, nil
	case string:
		return v, true, nil
	}
	return "", false, wrong(name, "must be text")
}

// Required is a text that must be there, and not be empty.
func (f Fields) Required(name string) (string, error) {
	text, _, err := f.Text(name)
	if err == nil && text == "" {
		err = wrong(name, "is required")
	}
	return text, err
}

// Integer is a whole number between two others, or one of them. It has one spelling: digits, and what is below zero a minus
// before them.
func (f Fields) Integer(name string, least, most int64) (int64, bool, error) {
	var text string
	switch v := f.values[name].(type) {
	case nil:
		return 0, false, nil
	case written:
		text = string(v)
	case string:
		text = v
	case json.Number:
		text = v.String()
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != text || n < least || n > most {
		return 0, false, wrong(name, fmt.Sprintf("must be a whole number from %d to %d", least, most))
	}
	return n, true, nil
}

// Flag is true, on, yes or 1, or else false, off, no or 0, in whatever letters: on is what a box that is ticked in a page sends.
func (f Fields) Flag(name string) (value, there bool, err error) {
	var text string
	switch v := f.values[name].(type) {
	case nil:
		return false, false, nil
	case bool:
		return v, true, nil
	case written:
		text = string(v)
	case string:
		text = v
	case json.Number:
		text = v.String()
	}
	switch strings.ToLower(text) { // EqualFold would take ſ for an s
	case "true", "on", "yes", "1":
		return true, true, nil
	case "false", "off", "no", "0":
		return false, true, nil
	}
	return false, false, wrong(name, "must be true or false")
}

// List is an array of texts in JSON. Elsewhere it is one value with commas; without a letter, the list with nothing in it.
// No element is empty.
func (f Fields) List(name string) ([]string, bool, error) {
	list := []string{}
	switch v := f.values[name].(type) {
	case nil:
		return nil, false, nil
	case written:
		if v != "" {
			list = strings.Split(string(v), ",")
		}
	case []any:
		for _, each := range v {
			text, _ := each.(string) // what is none is as bad as an empty one
			list = append(list, text)
		}
	default:
		return nil, false, wrong(name, "must be a list of texts")
	}
	if slices.Contains(list, "") {
		return nil, false, wrong(name, "must be a list of texts, none of them empty")
	}
	return list, true, nil
}
