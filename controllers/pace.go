package controllers

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/time/rate"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
)

// Bounds on how many records the operator's garbage collection deletes: SweepBurst at once, and
// then SweepRate a second.
const (
	SweepRate  = 30
	SweepBurst = 300
)

// SweepPace bounds how fast garbage collection deletes records. The API server confirms each
// deletion. But in a cluster that was restored in parts, or with a clock that is ahead, it confirms
// that every record is to go. At this pace two thousand records go in a minute, and there is time
// to stop the operator. SweepPace is safe for concurrent use.
type SweepPace struct {
	limiter *rate.Limiter
	notice  rate.Sometimes
}

// NewSweepPace returns a SweepPace of perSecond records a second, after burst records at once.
func NewSweepPace(perSecond rate.Limit, burst int) *SweepPace {
	return &SweepPace{limiter: rate.NewLimiter(perSecond, burst), notice: rate.Sometimes{Interval: time.Minute}}
}

// Wait blocks until the next record may be deleted. The error is that of ctx.
func (p *SweepPace) Wait(ctx context.Context) error {
	if p.limiter.Allow() {
		return nil
	}
	p.notice.Do(func() {
		logf.FromContext(ctx).Info("Garbage collection has many records to delete and slows down. If they are needed, scale the operator to 0 replicas",
			"perSecond", float64(p.limiter.Limit()))
	})
	if err := p.limiter.Wait(ctx); err != nil {
		return fmt.Errorf("wait for the pace of garbage collection: %w", err)
	}
	return nil
}
