// Package controllers is the map of the reconcilers, which bring the cluster in line with what was
// declared. Each of them has a package. It observes, asks internal/plan or internal/login, acts,
// and reports the result in the status. It holds no rule of its own.
//
//	applicationtoken  ApplicationToken -> record and Secret, rotation, retirement, restarts
//	client            Client -> whether its tokens are accepted, and how many there are
//	user              User -> whether the user can log in, and the number of logins
//	tokenrecord       record of a token -> garbage-collected, once it has no owner
//	session           record of a login -> garbage-collected, once over or beyond the limit
//
// Each package has controller.go with Reconcile, and setup.go with the watches. Where there is a
// status to set or a finalizer to remove, status.go and finalize.go do so. The packages share:
//
//	gc       the rate of garbage collection
//	index    the indexes of the cache
//	metrics  the metrics
//	read     reads from the cache that wait for the operator's own writes
//	restart  restarts of the workloads that consume a Secret
//	result   the outcome of a pass as a result for the work queue
//	watch    predicates, event handlers and priorities
//
// internal/tokenspec builds the desired state of an ApplicationToken, and internal/issue writes the
// records of its versions. internal/management, the management API, is no reconciler: it makes and
// rotates the tokens that are delivered in responses, on every replica, as callers ask.
//
// No code here relies on running once, or alone. The Secret decides a race, by its creation or its
// resource version, and the record that it names is the current one. For a token that is delivered
// in responses, the ApplicationToken itself decides. The loser of a race deletes the record that it
// made.
package controllers
