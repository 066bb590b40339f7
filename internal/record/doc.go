// Package record defines what the operator stores of a credential: its digest, its owner, and where
// and for how long it is valid, never the credential itself.
//
//	        Add            Change (a successor took over)            Retire
//	absent ─────> current ────────────────────────────────> ageing ─────────> gone
//	                 └──────────────────── Retire ──────────────────────────────┘
//
// A record is a plain value. A record that is gone is never recreated. The errors of this package
// report that a record exists already, is gone, or has changed since it was read.
//
// The package does not know where records are stored, or what is decided by them. Package kube
// stores them as TokenRecords, and package recordtest holds the tests that every store passes.
// Package verify keeps them in memory.
package record
