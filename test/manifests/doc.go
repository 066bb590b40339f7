// Package manifests holds the tests of config/: a real API server accepts all of it, with strict
// validation, and the rights in it are those that the operator needs and no others.
package manifests
