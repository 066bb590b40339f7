// Package recordtest is the one suite that every store of records must pass. Each sentence in it is something that the
// operator relies on; each gets a store of its own, empty.
//
//	adding.go    a record is what was added, and there is one of a name
//	changing.go  what has changed meanwhile is changed by nobody
//	retiring.go  what is gone is gone
//	listing.go   whose a record is
//	racing.go    all this where many try at once
//
// What is not here is not promised. Above all, a list may be behind: it is waited for, while a record that is read by its
// name is as the same store wrote it last.
package recordtest
