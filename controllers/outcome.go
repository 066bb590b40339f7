package controllers

import (
	"context"
	"errors"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/apptoken/operator/internal/record"
)

// Priorities of the work queues. A pass that ends a token comes before a first issue. Changes come
// before rotations and routine work.
const (
	priorityEnd     = 20
	priorityNew     = 10
	priorityRoutine = -10
)

// Refuse is the error of a pass that no retry helps until a user edits something. Reason and
// Message become the Ready condition.
type Refuse struct {
	Reason  string
	Message string
	Again   time.Duration // retry after so long, since the obstacle is not watched; 0: it is watched
}

func (r *Refuse) Error() string { return r.Reason + ": " + r.Message }

// stale reports whether err means that what was read is out of date, so that only another read
// helps.
func stale(err error) bool {
	return apierrors.IsConflict(err) || errors.Is(err, record.ErrStale)
}

// IsConflict reports whether err means only that what was read is out of date. That is expected
// where two writers compete, and the next pass reads again.
func IsConflict(err error) bool {
	switch e := err.(type) { //nolint:errorlint // each level of the tree counts
	case nil:
		return false
	case interface{ Unwrap() []error }:
		parts := e.Unwrap()
		return len(parts) > 0 && !slices.ContainsFunc(parts, func(part error) bool { return !IsConflict(part) })
	case interface{ Unwrap() error }:
		return IsConflict(e.Unwrap())
	default:
		return stale(err)
	}
}

// settle converts the outcome of a pass into a result for the work queue. An unwritten status is
// always an error.
func settle(now, wake time.Time, err, statusErr error) (ctrl.Result, error) {
	routine := ctrl.Result{Priority: new(priorityRoutine)}
	if refused, ok := errors.AsType[*Refuse](err); ok && statusErr == nil {
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

// ended reports whether the operator's own shutdown interrupted the pass.
func ended(ctx context.Context) bool { return ctx.Err() != nil }
