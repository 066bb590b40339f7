// Package quota decides how many tokens a client, a namespace and a user may have, and which
// waiting token is next.
//
//	unevaluated --refused--> waiting --Allocate--> reserved --issued--> holding --gone--> free
//
// An Index counts in memory what the ApplicationTokens state, so that a decision does not list
// them. It knows nothing of Kubernetes, of specs, or of the reasons why a token may be issued.
// Callers pass what they observe, and the limits.
//
// Reserve is for the one replica that reconciles. It decides by age, and its reservations last
// until the token is observed. Promise is for the replicas that make tokens over HTTP. Each replica
// is bound by what it has observed and promised itself. If several replicas together exceed a
// limit, Reserve decides which tokens are served.
package quota
