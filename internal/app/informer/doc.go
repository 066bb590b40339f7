// Package informer creates the informers of the operator's caches. It decides how they list and
// watch, and what shows that a watch delivers.
//
//	Factory --> informer --> monitored list and watch --evidence--> freshness.Watches
//
// Informers count the bytes that they keep, and retry every second while the API server does not
// answer. The package does not know what the objects are for, or when a replica is too far behind:
// internal/freshness evaluates the evidence.
package informer
