package gc

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/time/rate"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
)

// Bounds on how many records the operator's garbage collection deletes: Burst at once, and then
// Rate a second.
const (
	Rate  = 30
	Burst = 300
)

// Limiter bounds how fast garbage collection deletes records. The API server confirms each
// deletion. But in a cluster that was restored in parts, or with a clock that is ahead, it confirms
// that every record is to go. At this pace two thousand records go in a minute, and there is time
// to stop the operator. Limiter is safe for concurrent use.
type Limiter struct {
	limiter    *rate.Limiter
	slowNotice rate.Sometimes
}

// NewLimiter returns a Limiter of perSecond records a second, after burst records at once.
func NewLimiter(perSecond rate.Limit, burst int) *Limiter {
	return &Limiter{limiter: rate.NewLimiter(perSecond, burst), slowNotice: rate.Sometimes{Interval: time.Minute}}
}

// Wait blocks until the next record may be deleted. The error is that of ctx.
func (l *Limiter) Wait(ctx context.Context) error {
	if l.limiter.Allow() {
		return nil
	}
	l.slowNotice.Do(func() {
		logf.FromContext(ctx).Info("Garbage collection has many records to delete and slows down. If they are needed, scale the operator to 0 replicas",
			"perSecond", float64(l.limiter.Limit()))
	})
	if err := l.limiter.Wait(ctx); err != nil {
		return fmt.Errorf("wait for the pace of garbage collection: %w", err)
	}
	return nil
}
