// Package record keeps what we remember of a credential: its digest, its owner and what it is good for, never the
// credential itself.
//
//	        Add            Change (a successor took over)            Retire
//	absent ─────> current ────────────────────────────────> ageing ─────────> gone
//	                 └──────────────────── Retire ──────────────────────────────┘
//
// Kube is the store: TokenRecords in the operator's own namespace. Index holds the same records in memory, by digest,
// for verification: it is fed by a watch, read without locks, and right as long as the watch is. A record that is gone
// is never made again.
package record
