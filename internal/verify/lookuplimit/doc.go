// Package lookuplimit limits how many look-ups one source causes, so that one unauthenticated
// source does not use up the look-ups of all.
//
// The package does not know what is looked up, or how many look-ups all sources may cause together.
package lookuplimit
