// Package quota decides how many tokens a client, a namespace and a user have, and which of those that wait comes next.
//
//	unevaluated --refused--> waiting --Allocate--> reserved --issued--> holding --gone--> free again
//
// An Index counts in memory what the ApplicationTokens say, so that a decision costs no list of them. It knows nothing of
// Kubernetes, of specs or of why a token may be issued: callers tell what they observe, and what the limits are.
//
// Reserve is for the one replica that reconciles: it decides by age, and its reservations last until the token is observed.
// Promise is for the replicas that make tokens over HTTP: each is bound by what it has observed and promised itself, and
// what several have made beyond the limit is decided by Reserve.
package quota
