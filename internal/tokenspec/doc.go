// Package tokenspec builds the desired state of an ApplicationToken from its spec and from what the
// spec refers to: a Client, a User, a namespace and the source of a clone. It refuses what cannot
// be served, and states what the user must change.
package tokenspec
