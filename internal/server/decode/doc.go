// Package decode reads the named fields of a request, for protocols that existing programs speak.
//
//	application/x-www-form-urlencoded   text, and in it numbers, flags, and lists with commas
//	multipart/form-data                 the same; no files
//	application/json                    one object: text, numbers, flags, lists; null is absent
//	query                               as in a form, where the protocol allows it
//
// Empty text is as if the field were absent, except for lists.
//
// It requires that each field is there once. A name that is there twice, in whatever spelling, is
// an error: two parsers of such a request could read different values. Unknown fields are accepted,
// since programs send more than they must. They are bounded, and must be well-formed. A place that
// the protocol does not allow is not read at all. An empty body has no fields, whatever its type.
//
// It does not know the meaning of a field. Its errors never echo a request: they are made of
// constants and of names that the caller of this package has asked for. ReadInto does the same for
// bodies of the project's own APIs, and refuses unknown fields there.
package decode
