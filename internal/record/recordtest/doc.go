// Package recordtest is the one conformance suite that every store of records must pass. Each
// subtest is a sentence about something that the operator relies on, and gets an empty store of its
// own.
//
//	adding.go    a record equals the one that was added, and a name has one record
//	changing.go  a change based on an outdated record is rejected
//	retiring.go  a retired record is gone
//	listing.go   which owner a record belongs to
//	racing.go    the same under concurrent callers
//
// The suite promises nothing else. In particular, a list may be behind, so the suite waits for it.
// A record that is read by its name is as the same store wrote it last.
package recordtest
