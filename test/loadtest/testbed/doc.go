// Package testbed sets up what most sections measure: a control plane, the operator as a process of
// its own, and plain clients. It reads from all of them what the sections compare.
//
// The writes come from the API server's metrics, the state of tokens from a watch, and processor
// time and memory from /proc. A probe declares tokens one after another meanwhile.
package testbed
