// Package metrics holds the metrics that the reconcilers count.
package metrics
