// Package grant decides what may be done: which permissions a role brings, which of the requested
// roles and permissions are within a ceiling, and whether the held permissions cover a requested
// one.
//
//	roles of a client ──NewCeiling──> Ceiling ──Restrict──> Ceiling of a namespace or an account
//	                                     │
//	requested roles and permissions ─Cut─┴──> Holding ──May──> yes or no
//
// A permission is a path of segments, such as "sec.application-token.create". A wildcard may only
// be the last segment, and stands for at least one segment: "search.*" covers "search.query" and
// "search.query.fast" but not "search". "*" alone covers everything. Case matters.
//
// A malformed permission covers nothing and is covered by nothing, so no caller depends on
// admission. The package does not know who asks, for which token, or where roles come from.
package grant
