// Package tokenspec builds the desired state of an ApplicationToken.
//
//	ApplicationToken ──Resolver.Resolve──> References ──Build──> Desired ──plan──> an action
//
// References are what the spec refers to: a Client, a User, a namespace, and the source of a clone.
// Build is pure. It refuses what cannot be served, and names what the user must change.
//
// The package also holds what the reconcilers and the management API must agree on: which records
// and which Secret belong to a token, and what the Secret holds. It writes nothing to the cluster,
// and does not know when a token is issued, rotates or ends.
package tokenspec
