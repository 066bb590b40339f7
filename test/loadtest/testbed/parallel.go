package testbed

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// InParallel calls do n times, from all plain clients in parallel. The first error ends it.
func (s *Testbed) InParallel(ctx context.Context, what string, n int, do func(context.Context, client.Client, int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next, done atomic.Int64
	var workers sync.WaitGroup
	for _, c := range s.Clients {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if err := do(ctx, c, i); err != nil {
					cancel(fmt.Errorf("%s: %w", what, err))
					return
				}
				done.Add(1)
			}
		})
	}
	over := make(chan struct{})
	go func() {
		workers.Wait()
		close(over)
	}()
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-over:
			return context.Cause(ctx)
		case <-tick.C:
			s.Logf("%s: %d of %d", what, done.Load(), n)
		}
	}
}
