package app

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/internal/verify"
)

// NewInventory is the collector of what is in the caches.
func NewInventory(reader client.Reader, elected <-chan struct{}, index *verify.Index, now func() time.Time) prometheus.Collector {
	return inventory{reader, elected, index, now}
}

// NewMetrics are the collectors of what the reconcilers and the doors count.
func NewMetrics() []prometheus.Collector {
	_, all := newMetrics()
	return append(all, newDoorMetrics(nil).collectors()...)
}
