// Package manifests holds the tests of config/: a real API server takes it all, strictly, and the rights that it gives
// are those that are needed and no others.
package manifests
