// Package load generates load, and measures the responses.
//
// A steady load has a fixed number of clients, each of which waits for its response. An open loop
// sends at a fixed rate, whatever the responses take. A burst sends everything at once.
// The package does not know what the requests mean.
package load
