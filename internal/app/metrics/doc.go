// Package metrics defines every metric of the operator, and serves /metrics.
//
// Counters and histograms are updated by the code that they are about. Metrics of objects are
// computed at each scrape from the caches, so that no counter has to be kept consistent with them.
// The package decides which series there are, and which clients may scrape, how often. It does not
// decide when something is counted.
package metrics
