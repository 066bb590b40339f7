// Package app wires the operator: options.go reads flags and the environment, manager.go joins caches, stores and
// reconcilers, metrics.go names every metric, run.go starts and ends it all, redact.go is the net under what it says.
//
// Every replica keeps the caches and the index of records; only the elected one reconciles.
package app
