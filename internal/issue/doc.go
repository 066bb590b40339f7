// Package issue makes, changes and ends the versions of ApplicationTokens, for both deliveries.
//
// The planner decides; this package executes. A version is made in three steps. Its record is
// stored first. Then an Arbiter makes the version current by one write, of which the API server
// accepts at most one. A version that lost has its record deleted. There are two arbiters: the
// Secret in controllers/applicationtoken, and the annotation apptoken.dev/record of the
// ApplicationToken in internal/management. A crash between two steps leaves a record whose
// plaintext no consumer has, and garbage collection deletes it.
//
// The package does not know when a version is due, what a Secret looks like, or who may ask.
package issue
