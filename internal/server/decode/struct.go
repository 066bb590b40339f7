package decode

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// decodeJSON reads a ParseJSON body.
func decodeJSON[T any](b requestBody) (T, error) {
	var into, zero T
	if b.kind != object {
		return zero, errContentType
	}
	shape := reflect.TypeFor[T]()
	tree, err := parseJSON(knownNames{names: slices.Collect(maps.Keys(membersOf(shape)))}, b.text)
	if err != nil {
		return zero, err
	}
	if err := checkMembers(shape, tree); err != nil {
		return zero, err
	}
	d := json.NewDecoder(bytes.NewReader(b.text))
	d.UseNumber()
	d.DisallowUnknownFields()
	if err := d.Decode(&into); err != nil {
		return zero, typeError(shape, err)
	}
	return into, nil
}

// typeError returns an error that names the member that cannot be decoded, if it is known. Other
// messages of a decoder may repeat the body, and are dropped.
func typeError(shape reflect.Type, err error) error {
	if of, is := errors.AsType[*json.UnmarshalTypeError](err); is && isMemberPath(shape, of.Field) {
		return fieldError(of.Field, "has a value of the wrong type")
	}
	return badRequest("the body has a member whose value is not accepted")
}

// isMemberPath reports whether a path consists of member names of a type. Then no part of it is a
// key of a map, which the client chose.
func isMemberPath(shape reflect.Type, path string) bool {
	for name := range strings.SplitSeq(path, ".") {
		of, known := membersOf(shape)[name]
		if !known {
			return false
		}
		for slices.Contains([]reflect.Kind{reflect.Slice, reflect.Array, reflect.Map}, dereference(of).Kind()) {
			of = dereference(of).Elem()
		}
		shape = of
	}
	return true
}

// checkMembers refuses members that a type does not have. encoding/json ignores case and would
// accept them, so that one member could be there twice. fits also refuses nulls in lists, which
// encoding/json would turn into elements.
func checkMembers(shape reflect.Type, value any) error {
	shape = dereference(shape)
	if own := reflect.PointerTo(shape); own.Implements(reflect.TypeFor[json.Unmarshaler]()) || own.Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return nil
	}
	kind := shape.Kind()
	if list, is := value.([]any); is && (kind == reflect.Slice || kind == reflect.Array) {
		for _, inner := range list {
			if inner == nil {
				return badRequest("the body has a null in a list")
			}
			if err := checkMembers(shape.Elem(), inner); err != nil {
				return err
			}
		}
	}
	if members, is := value.(map[string]any); is && (kind == reflect.Struct || kind == reflect.Map) {
		known := membersOf(shape)
		for _, name := range slices.Sorted(maps.Keys(members)) {
			of, is := known[name]
			if kind == reflect.Map {
				of, is = shape.Elem(), true
			}
			if !is {
				return badRequest("the body has a member that is not known here")
			}
			if err := checkMembers(of, members[name]); err != nil {
				return err
			}
		}
	}
	return nil
}

// membersOf returns the members of a struct by their ParseJSON names.
func membersOf(shape reflect.Type) map[string]reflect.Type {
	shape = dereference(shape)
	if shape.Kind() != reflect.Struct {
		return nil
	}
	members := map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(shape) {
		if name := jsonName(f); name != "" {
			members[name] = f.Type
		}
	}
	return members
}

// jsonName returns the ParseJSON name of a member, or an empty string if it has none.
func jsonName(f reflect.StructField) string {
	tag := f.Tag.Get("json")
	name, _, _ := strings.Cut(tag, ",")
	switch {
	case tag == "-" || !f.IsExported() || f.Anonymous && name == "":
		return ""
	case name == "":
		return f.Name
	default:
		return name
	}
}

// dereference returns the type that a pointer points to, or the type itself if it is no pointer.
func dereference(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}
