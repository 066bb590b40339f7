// Package directory keeps what replicas hold in memory up to date with the cluster: the index of
// the verifier, the users and clients of logins, and the quota. It holds event handlers of
// informers, and converts API objects to plain values.
package directory
