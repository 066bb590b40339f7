package fields

import (
	"maps"
	"net/http"
	"reflect"
	"slices"
)

// ReadInto reads a body of ours into a T, in whichever encoding it comes: of JSON one object, and of a form the fields that are
// named as members of T, each of which is a text, a list of texts, or a pointer to one of these. All are spelled as T spells
// them, and what T does not have is refused, since a word that is misspelt is one that was meant. The zero T if there is no
// body. Errors, each of which is an *Error, name members of T alone.
func ReadInto[T any](w http.ResponseWriter, r *http.Request, most int64) (T, error) {
	var into, zero T
	b, err := receive(w, r, most)
	switch {
	case err != nil || b.kind == "":
		return zero, err
	case b.kind != urlencoded && b.kind != multiparts:
		return decode[T](b)
	}
	members := membersOf(reflect.TypeFor[T]())
	f := Fields{values{}}
	if err := f.values.readBody(slices.Collect(maps.Keys(members)), b); err != nil {
		return zero, err
	}
	for name := range f.values {
		if _, known := members[name]; !known {
			return zero, bad("the body has a field that is not known here")
		}
	}
	shape := reflect.ValueOf(&into).Elem()
	for _, member := range reflect.VisibleFields(shape.Type()) {
		name := nameOf(member)
		if _, there := f.values[name]; !there {
			continue
		}
		if err := f.fill(shape.FieldByIndex(member.Index), name); err != nil {
			return zero, err
		}
	}
	return into, nil
}

// fill puts a field into a member.
func (f Fields) fill(to reflect.Value, name string) error {
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
