// Package management serves the management API. Through it, programs and users create, list,
// change, clone, rotate and revoke application tokens by request, besides the tokens that are
// declared in Git.
//
// The HTTP endpoints call API. They know nothing of Kubernetes, and decide before a call
// whether the caller may make the request at all. Service executes the request, on every replica,
// with or without a leader. No caller receives a token that may do more than the caller may, unless
// the caller holds PermissionEscalate.
//
//	create.go                 a token and its first version
//	rotate.go, successor.go   further versions
//	update.go                 changes and revocation
//	clone.go                  a token with the grants of another one
//	read.go                   tokens as callers see them
//	validate.go               what a request may ask for
//	authority.go              who may receive a token
//	suspension.go             who suspended a token
//
// The package does not know HTTP, and does not know how a caller was authenticated.
package management
