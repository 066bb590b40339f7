// Package management serves the management API. Through it, programs and users make, list, change,
// clone, rotate and revoke application tokens by request, besides the tokens that are declared in
// Git.
//
// The HTTP endpoints know nothing of Kubernetes, and decide before whether the caller may ask at
// all. Service does what is asked, on every replica, with or without a leader.
package management
