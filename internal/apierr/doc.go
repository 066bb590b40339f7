// Package apierr classifies errors: whether the API server decided about a request, and whether
// only another read helps.
//
// It also holds Refuse, the error of a pass that no retry helps. Package tokenspec returns it, and
// the reconcilers convert it to the Ready condition. The package does not know when a pass runs
// again.
package apierr
