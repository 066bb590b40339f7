// Package grant says what may be done: which permissions a role brings, which
// of the roles and permissions that somebody wants lie under a ceiling, and
// whether what is held covers what is asked.
//
//	roles of a client ──NewCeiling──> Ceiling ──Restrict──> Ceiling of a namespace or of a user's account
//	                                     │
//	   wanted roles and permissions ──Cut┴──> Holding ──May──> yes or no
//
// A permission is a path of segments: "sec.application-token.create". A wildcard
// is the last segment or none, and stands for at least one segment:
// "search.*" covers "search.query" and "search.query.fast" but not "search".
// The sole "*" covers everything. Case matters.
//
// Whatever is malformed covers nothing and is covered by nothing, so that no
// caller needs admission to have looked first. Who asks, for which token, and
// where roles come from is unknown here.
package grant
