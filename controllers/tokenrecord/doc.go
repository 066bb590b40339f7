// Package tokenrecord garbage-collects the records of ApplicationTokens that have no owner: those
// of a token that is gone, and orphans of a crash. It also garbage-collects the records of access
// tokens: those that are over, and the oldest where there are too many.
//
// It does not decide which records have no owner: internal/plan does.
package tokenrecord
