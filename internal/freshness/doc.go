// Package freshness decides whether a replica still knows enough to verify. A replica verifies from memory, which watches
// keep up to date, so a lost watch hides changes.
//
//	a watch shows no sign, the API server answers ──> closed after Limits.Lost, until that watch shows a sign
//	the API server does not answer at all ──────────> open for Limits.Outage; then closed, until every watch shows a sign
//
// It knows neither Kubernetes nor a clock: the instant, the answer and the signs of the watches are arguments.
package freshness
