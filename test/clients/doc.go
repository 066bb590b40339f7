// Package clients holds programs that log in to the four systems, one for each HTTP client that
// such programs use. The tests run them against the product's own listener, over TLS. Each program
// makes the same exchanges and prints one line of JSON for each, so that all are compared alike.
package clients
