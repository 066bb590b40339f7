// Package plan decides what should happen to a token. It is given the instant, what is wanted and what is seen, all as
// plain values, and names one action; whoever asked acts, looks again, and asks again until the answer is Nothing.
//
//	        Issue               Issue (rotation)            Retire
//	absent ───────> current ──────────────────> ageing ──────────────> gone
//	                   │  its record was deleted   │  successor used and quiet, or maxOverlap
//	                   └──── Issue, no overlap     └─ Supersede gives it its last instant
//
// It knows no API, clock, entropy, logger or context, and imports the standard library alone. Files: plan.go has the
// nouns, token.go the rules in their order, rotation.go and retirement.go the deadlines, hold.go what a rotation waits
// for, record.go the sweep.
package plan
