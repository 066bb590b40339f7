// Package kube stores records as TokenRecords in the operator's own namespace, and passes on the
// records that a watch reports.
//
// The name of a TokenRecord follows from its digest, so the API server holds one record of a
// digest. Change, Retire and Claim name the version that they are based on: one of several writers
// succeeds, and the others get record.ErrStale or record.ErrGone.
//
// Reads come from a cache where a late answer does no harm, and from the API server where it would.
// The package does not know what a record permits, or when it has to end.
package kube
