// Package docs holds the tests of the documentation: the examples are accepted, each name exists,
// and each name of the program is documented.
package docs
