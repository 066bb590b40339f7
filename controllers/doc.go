// Package controllers holds the reconcilers, each in a package of its own, and what they share. A
// reconciler observes, asks a package of rules what to do, acts, and reports the result in the
// status. It holds no rule of its own.
//
//	applicationtoken  token -> record and Secret, rotation, retirement, restarts
//	client            client -> state and counts
//	tokenrecord       record -> garbage-collected, once it has no owner
//	user              user -> whether the user can log in, and the number of logins
//	session           record of a login -> garbage-collected, once over or beyond the limit
//
//	index             indexes of the cache by which reconcilers list objects
//	metrics           counters of the reconcilers
//	read              reads from the cache that include the operator's own writes
//	result            result of a pass for the work queue, rate of garbage collection
//	watch             predicates, event handlers and priorities
//
// The management API is no reconciler: internal/management serves it on every replica, as callers
// ask.
//
// No code here relies on running once, or alone. The Secret decides a race, by its creation or its
// resource version, and the record that it names is the current one. For a token that is delivered
// in responses, the ApplicationToken itself decides. The loser of a race deletes the record that it
// made.
package controllers
