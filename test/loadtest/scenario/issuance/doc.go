// Package issuance measures tokens that the operator delivers in Secrets: many at once, under a
// quota, at rest, in rotation, and beside a hostile namespace.
package issuance
