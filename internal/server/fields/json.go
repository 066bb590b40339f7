package fields

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

var errNotJSON = bad("the body is not one object in JSON")

// parseJSON reads an object. Numbers are kept as they are written.
func parseJSON(known names, text []byte) (map[string]any, error) {
	switch {
	case !utf8.Valid(text): // which encoding/json would mend
		return nil, bad("the body is not UTF-8")
	case !json.Valid(text):
		return nil, errNotJSON
	case !escapesText(text):
		return nil, bad("the body has a NUL in it, or half of a surrogate pair")
	}
	r := reader{known: known, Decoder: json.NewDecoder(bytes.NewReader(text))}
	r.UseNumber()
	value, err := r.value(0)
	if err != nil {
		return nil, err
	}
	members, is := value.(map[string]any)
	if !is {
		return nil, errNotJSON
	}
	return members, nil
}

// escapesText says whether the escapes in valid JSON stand for text. Of half a surrogate pair encoding/json would make
// U+FFFD, so that different passwords were the same.
func escapesText(text []byte) bool {
	for {
		at := bytes.IndexByte(text, '\\')
		if at < 0 {
			return true
		}
		text = text[at:]
		if text[1] != 'u' {
			text = text[2:]
			continue
		}
		r := escaped(text)
		text = text[6:]
		if utf16.IsSurrogate(r) {
			if utf16.DecodeRune(r, escaped(text)) == utf8.RuneError {
				return false
			}
			text = text[6:]
		}
		if r == 0 {
			return false
		}
	}
}

// escaped is what \uXXXX stands for, if the text begins with that; otherwise NUL.
func escaped(text []byte) rune {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0
	}
	unit, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	if err != nil {
		return 0
	}
	return rune(unit)
}

// reader reads values that are valid, and bounds them.
type reader struct {
	*json.Decoder
	known names
	field string // the one that is read
}

func (r *reader) value(depth int) (any, error) {
	token, err := r.Token()
	if err != nil {
		return nil, errNotJSON
	}
	length := 0
	switch t := token.(type) {
	case json.Delim:
		if depth == mostDepth {
			return nil, r.known.wrong(r.field, "is nested too deep")
		}
		if t == '{' {
			return r.object(depth + 1)
		}
		return r.array(depth + 1)
	case string:
		length = len(t)
	case json.Number:
		length = len(t)
	}
	if length > mostValue {
		return nil, r.known.wrong(r.field, "is too long")
	}
	return token, nil
}

func (r *reader) object(depth int) (any, error) {
	members, known := values{}, names(nil)
	for r.More() {
		token, err := r.Token()
		name, is := token.(string)
		if err != nil || !is {
			return nil, errNotJSON
		}
		if depth == 1 {
			r.field, known = name, r.known
		}
		value, err := r.value(depth)
		if err != nil {
			return nil, err
		}
		if err := members.put(known, name, value); err != nil {
			return nil, err
		}
	}
	return map[string]any(members), r.end()
}

func (r *reader) array(depth int) (any, error) {
	list := []any{}
	for r.More() {
		value, err := r.value(depth)
		if err != nil {
			return nil, err
		}
		list = append(list, value)
	}
	return list, r.end()
}

// end reads the bracket behind an object or an array.
func (r *reader) end() error {
	if _, err := r.Token(); err != nil {
		return errNotJSON
	}
	return nil
}
