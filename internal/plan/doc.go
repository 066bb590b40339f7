// Package plan decides what should happen to a token. Its functions get the instant, the desired
// state and the observed state as plain values, and return one action. The caller executes the
// action, observes again, and repeats until the action is Nothing.
//
//	        Issue               Issue (rotation)                 Retire
//	absent ───────> current ──────────────────> predecessor ──────────────> gone
//	                   │  its record was deleted   │  successor used and quiet, or maxOverlap
//	                   └──── Issue, no overlap     └─ Supersede sets its end
//
// The package knows no API, clock, entropy, logger or context, and imports the standard library
// only.
//
//	plan.go                      types
//	token.go                     rules for an ApplicationToken, in their order
//	request.go                   rules for a request of the HTTP API, in their order
//	user.go                      a User that was replaced
//	rotation.go, retirement.go   deadlines
//	deferral.go                  what defers a rotation
//	garbage_record.go            garbage collection of records
package plan
