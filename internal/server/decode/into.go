package decode

import (
	"maps"
	"net/http"
	"reflect"
	"slices"
)

// ReadInto reads a body of the project's own APIs into a T, in any of the encodings. ParseJSON must
// be one object. The fields of a form must be members of T. Each of those members is a string, a
// list of strings, or a pointer to one of these. Names must be spelled as in T. Unknown names are
// refused, since a misspelled field was meant to have an effect. Without a body, ReadInto returns
// the zero T. Each error is an *Error and names members of T alone.
func ReadInto[T any](w http.ResponseWriter, r *http.Request, most int64) (T, error) {
	var into, zero T
	b, err := readRequestBody(w, r, most)
	switch {
	case err != nil || b.kind == "":
		return zero, err
	case b.kind != typeForm && b.kind != typeMultipart:
		return decodeJSON[T](b)
	}
	members := membersOf(reflect.TypeFor[T]())
	f := Fields{values{}}
	if err := f.values.readBody(knownNames{names: slices.Collect(maps.Keys(members))}, b); err != nil {
		return zero, err
	}
	for name := range f.values {
		if _, known := members[name]; !known {
			return zero, badRequest("the body has a field that is not known here")
		}
	}
	shape := reflect.ValueOf(&into).Elem()
	for _, member := range reflect.VisibleFields(shape.Type()) {
		name := jsonName(member)
		if _, there := f.values[name]; !there {
			continue
		}
		if err := f.setMember(shape.FieldByIndex(member.Index), name); err != nil {
			return zero, err
		}
	}
	return into, nil
}

// setMember sets a member to the value of a field.
func (f Fields) setMember(to reflect.Value, name string) error {
	if to.Kind() == reflect.Pointer {
		to.Set(reflect.New(to.Type().Elem()))
		to = to.Elem()
	}
	if to.Kind() == reflect.Slice {
		list, _, err := f.List(name)
		if err == nil {
			to.Set(reflect.ValueOf(list))
		}
		return err
	}
	text, _, err := f.Text(name)
	if err == nil {
		to.SetString(text)
	}
	return err
}
