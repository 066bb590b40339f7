package result

import (
	"context"
	"errors"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/apptoken/operator/controllers/watch"
	"github.com/apptoken/operator/internal/apierr"
)

// Settle converts the outcome of a pass into a result for the work queue. An unwritten status is
// always an error.
func Settle(now, wake time.Time, err, statusErr error) (ctrl.Result, error) {
	routine := ctrl.Result{Priority: new(watch.PriorityRoutine)}
	if refused, ok := errors.AsType[*apierr.Refuse](err); ok && statusErr == nil {
		routine.RequeueAfter = refused.Again
		return routine, nil
	}
	if err := errors.Join(err, statusErr); err != nil {
		return ctrl.Result{}, err
	}
	if !wake.IsZero() {
		routine.RequeueAfter = max(wake.Sub(now), time.Millisecond)
	}
	return routine, nil
}

// IsShuttingDown reports whether the operator's own shutdown interrupted the pass.
func IsShuttingDown(ctx context.Context) bool { return ctx.Err() != nil }
