// Package directory keeps what every replica holds in memory up to date with the cluster: the
// verifier's index, the users and clients of logins, and the quota.
//
//	users.go, password.go   Users and the Secrets of their passwords
//	clients.go              Clients
//	owners.go               ApplicationTokens as owners of records, and namespaces
//	quota_allocation.go     ApplicationTokens as holders of quota
//	usage.go                last uses, from the index to the records
//	claim.go                which of several objects holds an account ID or a username
//	convert.go, logins.go   API objects as plain values
//	cache.go                what a cache keeps of an object
//
// It does not know whether a credential is valid, or what a token needs.
package directory
