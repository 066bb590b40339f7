// Package leaderelection decides which replica reconciles. The replicas compete for a Lease. The
// elected one runs its reconcilers for a term, and the others continue to verify.
//
//	competing --Lease acquired--> leading --Lease lost, or a reconciler failed--> competing
//
// A Candidate competes. A Term is the manager of the reconcilers while the replica leads. One
// process has several terms, so a term leaves nothing behind. The package does not know what the
// reconcilers do.
package leaderelection
