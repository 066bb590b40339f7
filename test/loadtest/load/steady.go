package load

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apptoken/operator/test/loadtest/report"
)

// Result is the result of the requests that were sent to one target.
type Result struct {
	Rate float64 // responses per second
	P99  time.Duration
}

// Target is a target of requests. The first of several is measured; the others are its limits.
type Target struct {
	Name   string
	Ask    func(ctx context.Context, worker int) (once func() error, leave func(), err error)
	Before func(ctx context.Context) error // each of its turns; nil: none
}

// Concurrency is how many clients send requests at once.
const Concurrency = 8

// Run sends a steady load for the time d: each of several clients waits for its response before it
// sends the next request.
func (c Target) Run(ctx context.Context, d time.Duration) (Result, error) {
	var mu sync.Mutex
	var took []time.Duration
	var problem error
	var over atomic.Bool
	var asking, ready sync.WaitGroup
	begin := make(chan struct{})
	ready.Add(Concurrency)
	for worker := range Concurrency {
		asking.Go(func() {
			once, leave, err := c.Ask(ctx, worker)
			ready.Done()
			if err == nil {
				defer leave()
			}
			mine := make([]time.Duration, 0, 1<<16)
			<-begin
			for err == nil && !over.Load() {
				began := time.Now()
				err = once()
				mine = append(mine, time.Since(began))
			}
			mu.Lock()
			defer mu.Unlock()
			problem, took = errors.Join(problem, err), append(took, mine...)
		})
	}
	ready.Wait()
	began := time.Now()
	close(begin)
	err := Sleep(ctx, d)
	over.Store(true)
	asking.Wait()
	lasted := time.Since(began)
	if err := errors.Join(err, problem); err != nil {
		return Result{}, err
	}
	return Result{Rate: float64(len(took)) / lasted.Seconds(), P99: report.Percentile(took, 99)}, nil
}
