// Package servertest starts the endpoints of internal/server for tests.
//
//	VectorServer     the data of the verification vectors; its clock stands still
//	ListenerServer   the same, on the product's own listeners
//	LoginServer      users, login protocols and the management API; the test moves its clock
//	FuzzServer       one valid token; called without a network
//
// The servers keep their records in memory. They record the audit log and check it against its
// schema. A LoginServer also checks each response against the OpenAPI document.
package servertest
