package fields

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

// decode reads a body of JSON.
func decode[T any](b body) (T, error) {
	var into, zero T
	if b.kind != object {
		return zero, errKind
	}
	shape := reflect.TypeFor[T]()
	tree, err := parseJSON(slices.Collect(maps.Keys(membersOf(shape))), b.text)
	if err != nil {
		return zero, err
	}
	if err := fits(shape, tree); err != nil {
		return zero, err
	}
	d := json.NewDecoder(bytes.NewReader(b.text))
	d.UseNumber()
	d.DisallowUnknownFields()
	if err := d.Decode(&into); err != nil {
		return zero, mistyped(shape, err)
	}
	return into, nil
}

// mistyped says which member cannot be decoded, if it is known. Anything else that a decoder says may repeat the body.
func mistyped(shape reflect.Type, err error) error {
	if of, is := errors.AsType[*json.UnmarshalTypeError](err); is && owns(shape, of.Field) {
		return wrong(of.Field, "has a value of the wrong type")
	}
	return bad("the body has a member whose value is not accepted")
}

// owns says whether a path is made of the names of a type: none of them is a key of a map, which a stranger wrote.
func owns(shape reflect.Type, path string) bool {
	for name := range strings.SplitSeq(path, ".") {
		of, known := membersOf(shape)[name]
		if !known {
			return false
		}
		for slices.Contains([]reflect.Kind{reflect.Slice, reflect.Array, reflect.Map}, direct(of).Kind()) {
			of = direct(of).Elem()
		}
		shape = of
	}
	return true
}

// fits refuses members that are not those of a type, which encoding/json would take in other letters too, so that one
// could come twice; and nulls in lists, of which it would make elements.
func fits(shape reflect.Type, value any) error {
	shape = direct(shape)
	if own := reflect.PointerTo(shape); own.Implements(reflect.TypeFor[json.Unmarshaler]()) || own.Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return nil
	}
	kind := shape.Kind()
	if list, is := value.([]any); is && (kind == reflect.Slice || kind == reflect.Array) {
		for _, inner := range list {
			if inner == nil {
				return bad("the body has a null in a list")
			}
			if err := fits(shape.Elem(), inner); err != nil {
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
				return bad("the body has a member that is not known here")
			}
			if err := fits(of, members[name]); err != nil {
				return err
			}
		}
	}
	return nil
}

// membersOf are the members of a struct, as encoding/json names them.
func membersOf(shape reflect.Type) map[string]reflect.Type {
	shape = direct(shape)
	if shape.Kind() != reflect.Struct {
		return nil
	}
	members := map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(shape) {
		if name := nameOf(f); name != "" {
			members[name] = f.Type
		}
	}
	return members
}

// nameOf is how encoding/json names a member; empty: not at all.
func nameOf(f reflect.StructField) string {
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

// direct is what a pointer points to.
func direct(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}
