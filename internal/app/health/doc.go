// Package health reports whether a replica is alive and ready to serve, at /healthz and /readyz.
//
//	Heartbeat --reads the API server, evaluates the watches--> verifier open or closed, readiness
//
// A Heartbeat checks at intervals whether the API server answers and whether the watches deliver.
// internal/freshness decides what follows from that. The package does not know what else a replica
// needs to be ready: its caller adds the other checks.
package health
