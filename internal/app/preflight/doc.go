// Package preflight decides whether a cluster has what the operator needs, before anything of the
// operator starts.
//
//	API server unavailable --> alive, not ready, trying again --answers--> start, or an error that
//	                                                                       names what is missing
//
// The package does not know what starts afterwards.
package preflight
