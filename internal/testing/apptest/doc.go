// Package apptest holds what the tests of internal/app and of the packages below it share: tokens
// that must not leak, namespaces, the holder of the Lease, and waiting for a condition.
package apptest
