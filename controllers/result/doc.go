// Package result turns the outcome of a reconcile into a result of controller-runtime.
package result
