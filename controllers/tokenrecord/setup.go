package tokenrecord

import (
	"context"

	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/controllers/watch"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/tokenspec"
)

// SetupWithManager adds the controller to the manager.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, workers int) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("tokenrecord").
		Watches(&v1alpha1.TokenRecord{}, watch.LowPriorityHandler(watch.RequestForObject), builder.WithPredicates(predicate.GenerationChangedPredicate{}, tokenRecordsOnly)).
		Watches(&v1alpha1.TokenRecord{}, handler.Funcs{DeleteFunc: r.enqueueAccess}, builder.WithPredicates(tokenRecordsOnly)).
		Watches(&v1alpha1.ApplicationToken{}, handler.Funcs{UpdateFunc: r.enqueueReplaced, DeleteFunc: r.enqueueOrphaned}).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).
		Complete(reconcile.AsReconciler(r.Client, r))
}

// tokenRecordsOnly accepts only the records of ApplicationTokens and of access tokens. The session
// reconciler deletes the others.
var tokenRecordsOnly = predicate.NewPredicateFuncs(func(obj client.Object) bool {
	return obj.(*v1alpha1.TokenRecord).Spec.Owner.Kind != login.OwnerKindUser
})

// requestFor returns the request for a record.
func (r *Reconciler) requestFor(name string) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Namespace: r.Records.Namespace(), Name: name}}
}

// enqueueReplaced enqueues the record that a token of delivery Response named until now.
func (r *Reconciler) enqueueReplaced(_ context.Context, e event.UpdateEvent, q watch.RequestQueue) {
	was := e.ObjectOld.GetAnnotations()[v1alpha1.AnnotationRecord]
	if was != "" && was != e.ObjectNew.GetAnnotations()[v1alpha1.AnnotationRecord] {
		q.Add(r.requestFor(was))
	}
}

// enqueueOrphaned enqueues the records of a deleted token.
func (r *Reconciler) enqueueOrphaned(ctx context.Context, e event.DeleteEvent, q watch.RequestQueue) {
	at, ok := e.Object.(*v1alpha1.ApplicationToken)
	if !ok {
		return
	}
	records, err := r.Records.ListByOwner(ctx, tokenspec.OwnerOf(at))
	if err != nil {
		return // the cache is stopping
	}
	for _, rec := range records {
		q.Add(r.requestFor(rec.Name()))
	}
}
