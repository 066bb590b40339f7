// Package verify decides whether a presented credential is good, for whom it speaks and what it may do.
//
//	text ──digest──> entry ──joined with its owner and its client, at this instant──> Identity, or the Verdict why not
//
// Index.Verify is that decision: it reads memory alone, takes no lock, allocates nothing and writes nothing. What is not
// known for sure to be good is refused. A Verifier is what the doors ask: it looks up what the index does not know yet,
// within a budget of reads, and notes the use of what was good.
//
// How records, owners and clients get into the index, and how uses get out of it, is not known here; nor is any protocol.
package verify
