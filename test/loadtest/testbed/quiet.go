package testbed

import (
	"context"
	"time"

	"github.com/apptoken/operator/test/loadtest/load"
)

// WaitQuiet waits for three seconds without a write and without a pass of a reconciler. See
// WaitQuietFor.
func (s *Testbed) WaitQuiet(ctx context.Context) (Counts, error) {
	return s.WaitQuietFor(ctx, 3*time.Second, RestPatience)
}

// RestPatience limits rest. If the system never comes to rest, the numbers show it.
const RestPatience = 5 * time.Minute

// WaitQuietFor waits until, for the time quiet, nothing is written and no reconciler of the
// operator runs a pass. It returns the writes up to then, or after patience.
func (s *Testbed) WaitQuietFor(ctx context.Context, quiet, patience time.Duration) (Counts, error) {
	last, passes, err := s.activity(ctx)
	if err != nil {
		return last, err
	}
	began := time.Now()
	since := began
	for time.Since(since) < quiet && time.Since(began) < patience {
		if err := load.Sleep(ctx, time.Second); err != nil {
			return last, err
		}
		now, passed, err := s.activity(ctx)
		if err != nil {
			return last, err
		}
		if now.Total() != last.Total() || passed != passes {
			last, passes, since = now, passed, time.Now()
		}
	}
	return last, nil
}

// TokenPasses returns how many passes the reconciler of ApplicationTokens has made.
func (s *Testbed) TokenPasses(ctx context.Context) (float64, error) {
	return s.Operator.Metric(ctx, "controller_runtime_reconcile_total", `controller="applicationtoken`)
}

// activity returns the writes so far and, if the operator runs, how many passes its reconcilers
// have made.
func (s *Testbed) activity(ctx context.Context) (Counts, float64, error) {
	done, err := s.Writes(ctx)
	if err != nil || s.Operator == nil {
		return done, 0, err
	}
	passes, err := s.Operator.Metric(ctx, "controller_runtime_reconcile_total", "")
	return done, passes, err
}
