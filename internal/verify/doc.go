// Package verify decides whether a presented credential is valid, for whom it speaks and what it
// may do.
//
//	text ──digest──> entry ──joined with its owner and its client, now──> Identity, or a Verdict
//
// Index.Verify makes that decision. It reads memory alone, takes no lock, allocates nothing and
// writes nothing. A credential that is not known to be valid is rejected. A Verifier serves the
// verification endpoints. It looks up credentials that the index does not know yet, within a budget
// of reads, and notes the use of valid credentials.
//
// The package does not know how records, owners and clients get into the index, how uses get out of
// it, or which protocol is spoken.
package verify
