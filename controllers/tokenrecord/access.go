package tokenrecord

import (
	"context"
	"errors"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/event"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/controllers/result"
	"github.com/apptoken/operator/controllers/watch"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/record"
)

// reconcileAccess garbage-collects the record of an access token: when it is over, or its parent is
// gone. It also deletes the oldest access tokens of a parent that has too many, which happens if
// several replicas issue them at once. Endpoints reject all but the last kind already.
func (r *Reconciler) reconcileAccess(ctx context.Context, rec record.Record) (ctrl.Result, error) {
	now := r.Now()
	inPlace := rec.CreatedAt.Add(login.CollectDelay) // until then the cache may lack the parent
	if now.Before(inPlace) {
		return result.Settle(now, inPlace, nil, nil)
	}
	isGone, err := r.isAccessOver(ctx, now, rec)
	if err == nil && isGone {
		err = r.deleteRecord(ctx, rec)
		return result.Settle(now, time.Time{}, err, nil)
	}
	if err == nil {
		err = r.enforceAccessLimit(ctx, now, rec.Owner)
	}
	return result.Settle(now, rec.ExpiresAt.Add(login.CollectDelay), err, nil)
}

// isAccessOver reports whether an access token has ended, by its own end or with its parent.
func (r *Reconciler) isAccessOver(ctx context.Context, now time.Time, rec record.Record) (bool, error) {
	if rec.ExpiresAt.IsZero() || rec.IsOver(now.Add(-login.CollectDelay)) {
		return true, nil
	}
	_, err := r.Records.Get(ctx, rec.Owner.Name)
	if errors.Is(err, record.ErrGone) {
		_, err = r.Records.Confirm(ctx, rec.Owner.Name)
	}
	if errors.Is(err, record.ErrGone) {
		return true, nil
	}
	return false, err
}

// deleteRecord deletes a record. It does not wait for the rate of garbage collection: access tokens
// are issued at a bounded rate, and the records of other owners must not wait for them.
func (r *Reconciler) deleteRecord(ctx context.Context, rec record.Record) error {
	if err := r.Records.Retire(ctx, rec); err != nil {
		return err
	}
	logf.FromContext(ctx).V(1).Info("garbage-collected an access token", "owner", rec.Owner.Name)
	return nil
}

// enforceAccessLimit deletes the oldest access tokens of a parent, if there are too many.
func (r *Reconciler) enforceAccessLimit(ctx context.Context, now time.Time, owner record.Owner) error {
	known, err := r.Records.ListByOwner(ctx, owner)
	if err != nil {
		return err
	}
	for _, excess := range login.ExcessAccess(now, known) {
		if err := r.deleteRecord(ctx, excess); err != nil {
			return err
		}
	}
	return nil
}

// enqueueAccess enqueues the access tokens of a deleted record.
func (r *Reconciler) enqueueAccess(ctx context.Context, e event.DeleteEvent, q watch.RequestQueue) {
	obj, ok := e.Object.(*v1alpha1.TokenRecord)
	if !ok {
		return
	}
	records, err := r.Records.ListByOwner(ctx, record.Owner{Kind: login.OwnerKindRecord, Name: obj.Name})
	if err != nil {
		return // the cache is stopping
	}
	for _, rec := range records {
		q.Add(r.requestFor(rec.Name()))
	}
}
