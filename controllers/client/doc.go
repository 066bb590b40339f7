// Package client reconciles Clients. It reports whether the tokens of a client are accepted, and
// how many there are. It also reports which client holds an account ID that several ask for.
//
// It stops no token: every replica evaluates suspended Clients for itself, see internal/directory.
package client
