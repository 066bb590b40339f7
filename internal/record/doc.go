// Package record defines what the operator stores of a credential: its digest, its owner, and where
// and for how long it is valid, never the credential itself.
//
//	        Add            Change (a successor took over)            Retire
//	absent ─────> current ────────────────────────────────> ageing ─────────> gone
//	                 └──────────────────── Retire ──────────────────────────────┘
//
// Package kube has the store: TokenRecords in the operator's own namespace. verify.Index holds the
// same records in memory, by digest, for verification. A record that is gone is never recreated.
package record
