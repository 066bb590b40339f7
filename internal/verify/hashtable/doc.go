// Package hashtable is the lock-free hash table of the verifier's index. It finds values by the
// digest of a credential.
//
// Readers take no lock, allocate nothing and write nothing; writers exclude each other. The package
// does not know what the values are.
package hashtable
