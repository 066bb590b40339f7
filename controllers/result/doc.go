// Package result turns the outcome of a reconcile into a result of controller-runtime, and bounds
// the rate of garbage collection.
package result
