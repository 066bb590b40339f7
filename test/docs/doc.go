// Package docs holds the tests of the documentation: what it shows is accepted, what it names exists, and what exists is named.
package docs
