// Package app wires the operator. options.go parses flags and the environment. manager.go connects
// caches, stores and reconcilers. metrics.go defines every metric. run.go starts and stops the
// process. redact.go removes tokens from everything that the operator logs.
//
// Every replica keeps the caches and the index of records; only the elected replica reconciles.
package app
