package decode

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

var errNotJSON = badRequest("the body is not one object in JSON")

// parseJSON parses an object. Numbers keep their spelling.
func parseJSON(known knownNames, text []byte) (map[string]any, error) {
	if !json.Valid(text) {
		return nil, errNotJSON
	}
	r := jsonReader{known: known, text: text, Decoder: json.NewDecoder(bytes.NewReader(text))}
	r.UseNumber()
	if token, err := r.Token(); err != nil || token != json.Delim('{') {
		return nil, errNotJSON
	}
	return r.object(1)
}

// escapesText reports whether the escapes in valid ParseJSON stand for text: no NUL, and no half of
// a surrogate pair.
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
		r := unescapeUnit(text)
		text = text[6:]
		if utf16.IsSurrogate(r) {
			if utf16.DecodeRune(r, unescapeUnit(text)) == utf8.RuneError {
				return false
			}
			text = text[6:]
		}
		if r == 0 {
			return false
		}
	}
}

// unescapeUnit returns the UTF-16 unit of a leading \uXXXX escape, or NUL if text does not begin
// with one.
func unescapeUnit(text []byte) rune {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0
	}
	unit, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	if err != nil {
		return 0
	}
	return rune(unit)
}

// jsonReader reads values of valid ParseJSON within limits.
type jsonReader struct {
	*json.Decoder
	known knownNames
	field string // the top-level field that is being read
	text  []byte // the whole body
}

// nextToken returns the next token, and reports whether it is text as it is written. encoding/json
// replaces invalid text by U+FFFD, so that different passwords would be equal. Between tokens there
// is only ASCII, and an unescaped NUL is not valid ParseJSON.
func (r *jsonReader) nextToken() (token json.Token, isText bool, err error) {
	from := r.InputOffset()
	token, err = r.Token()
	if err != nil {
		return nil, false, errNotJSON
	}
	raw := r.text[from:r.InputOffset()]
	return token, utf8.Valid(raw) && escapesText(raw), nil
}

func (r *jsonReader) value(depth int) (any, error) {
	token, isText, err := r.nextToken()
	if err != nil {
		return nil, err
	}
	if !isText {
		return nil, r.known.fieldError(r.field, notText)
	}
	length := 0
	switch t := token.(type) {
	case json.Delim:
		if depth == maxDepth {
			return nil, r.known.fieldError(r.field, "is nested too deep")
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
	if length > maxValueBytes && !r.known.isOpaque(r.field) {
		return nil, r.known.fieldError(r.field, TooLong)
	}
	return token, nil
}

func (r *jsonReader) object(depth int) (map[string]any, error) {
	members, known := values{}, knownNames{}
	for r.More() {
		token, isText, err := r.nextToken()
		if err != nil {
			return nil, err
		}
		name, is := token.(string)
		if !is {
			return nil, errNotJSON
		}
		if !isText {
			return nil, errName
		}
		if depth == 1 {
			r.field, known = name, r.known
		}
		value, err := r.value(depth)
		if err != nil {
			return nil, err
		}
		if err := members.add(known, name, value); err != nil {
			return nil, err
		}
	}
	return members, r.end()
}

func (r *jsonReader) array(depth int) (any, error) {
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

// end reads the closing bracket of an object or array.
func (r *jsonReader) end() error {
	if _, err := r.Token(); err != nil {
		return errNotJSON
	}
	return nil
}
