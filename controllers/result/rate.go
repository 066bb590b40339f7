package result

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/time/rate"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
)

// Bounds on how many records the operator's garbage collection deletes: GarbageCollectionBurst at
// once, and then GarbageCollectionRate a second.
const (
	GarbageCollectionRate  = 30
	GarbageCollectionBurst = 300
)

// GarbageCollectionLimiter bounds how fast garbage collection deletes records. The API server
// confirms each deletion. But in a cluster that was restored in parts, or with a clock that is
// ahead, it confirms that every record is to go. At this pace two thousand records go in a minute,
// and there is time to stop the operator. GarbageCollectionLimiter is safe for concurrent use.
type GarbageCollectionLimiter struct {
	limiter    *rate.Limiter
	slowNotice rate.Sometimes
}

// NewGarbageCollectionLimiter returns a GarbageCollectionLimiter of perSecond records a second,
// after burst records at once.
func NewGarbageCollectionLimiter(perSecond rate.Limit, burst int) *GarbageCollectionLimiter {
	return &GarbageCollectionLimiter{limiter: rate.NewLimiter(perSecond, burst), slowNotice: rate.Sometimes{Interval: time.Minute}}
}

// Wait blocks until the next record may be deleted. The error is that of ctx.
func (p *GarbageCollectionLimiter) Wait(ctx context.Context) error {
	if p.limiter.Allow() {
		return nil
	}
	p.slowNotice.Do(func() {
		logf.FromContext(ctx).Info("Garbage collection has many records to delete and slows down. If they are needed, scale the operator to 0 replicas",
			"perSecond", float64(p.limiter.Limit()))
	})
	if err := p.limiter.Wait(ctx); err != nil {
		return fmt.Errorf("wait for the pace of garbage collection: %w", err)
	}
	return nil
}
