// Package docs holds the tests of the documentation: the examples are accepted, the names in it
// exist, and flags, metrics, reasons and fields are documented.
package docs
