// Package fields reads the named fields of a request, for protocols that programs speak already.
//
//	application/x-www-form-urlencoded   text, and in it numbers, flags, and lists with commas
//	multipart/form-data                 the same; no files
//	application/json                    one object: text, numbers, flags, lists of text; null is absent
//	the query                           as the first, where the protocol allows it
//
// It decides what a field is, and that there is one of each: whoever sends a name twice, in whatever spelling, is refused,
// for two readers of such a request would not read the same. Names that nobody asks for are not kept from coming, since
// programs send more than they must; yet they are bounded, and refused if they are malformed. A place that the protocol
// does not allow is not read at all. A body without a byte has no fields, whatever its type.
//
// It refuses to know what the fields mean, and it repeats nothing: an error is made of constants, and of names that our own
// code has asked for. ReadInto does the same for bodies that are ours: there, what is not known is refused.
package fields
