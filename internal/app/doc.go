// Package app wires the operator. run.go starts the process and ends it. operator.go connects
// caches, stores, reconcilers and leader election. endpoints.go does so for what every replica
// serves, with its listeners and certificates in listeners.go. password_cache.go has the cache of
// the Secrets with passwords.
//
//	options --> preflight --> Operator --on every replica--> caches, index, endpoints, probes
//	                              --while it leads--> reconcilers
//
// The packages below it decide: options (flags), preflight (is the cluster ready), leaderelection,
// certificates, informer, health, metrics, logging. None of them imports this package.
package app
