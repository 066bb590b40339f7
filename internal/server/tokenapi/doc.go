// Package tokenapi serves the management API over HTTP: it creates, lists, changes, rotates, clones
// and revokes application tokens.
//
// It authenticates the caller, checks the permission, charges the caller's budget, and calls the
// management service, which decides. A response has the plaintext of a token once: when it was
// created or rotated.
package tokenapi
