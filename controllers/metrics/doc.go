// Package metrics records the metrics of the reconcilers.
package metrics
