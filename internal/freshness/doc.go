// Package freshness decides whether a replica knows enough to verify. A replica verifies from
// memory, which watches keep up to date, so a lost watch hides changes.
//
//	a watch shows no sign,          closed after Limits.Lost (connected: Limits.Stale),
//	the API server answers   ──>    until that watch shows a sign
//
//	the API server does             open for Limits.Outage, then closed,
//	not answer at all        ──>    until every watch shows a sign
//
// The package knows neither Kubernetes nor a clock: the instant, the answer and the signs of the
// watches are arguments.
package freshness
