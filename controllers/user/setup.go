package user

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/controllers/index"
	"github.com/apptoken/operator/controllers/session"
	"github.com/apptoken/operator/controllers/watch"
	"github.com/apptoken/operator/internal/directory"
)

// Indexes of the cache by which Users are found.
const ()

// sessionCountInterval is the interval at which the logins of a User are counted while they come
// and go.
const sessionCountInterval = 5 * time.Second

// SetupWithManager adds the controller to the manager. The passwords are read from a cache that the
// manager starts.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, passwords cache.Cache) error {
	recount := func(q watch.RequestQueue, obj client.Object) { // once, however many change until then
		q.AddAfter(reconcile.Request{NamespacedName: types.NamespacedName{Name: obj.(*v1alpha1.TokenRecord).Spec.Owner.Name}}, sessionCountInterval)
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("user").
		For(&v1alpha1.User{}, builder.WithPredicates(watch.SpecChanged)).
		Watches(&v1alpha1.User{}, handler.Funcs{
			CreateFunc: func(ctx context.Context, e event.CreateEvent, q watch.RequestQueue) {
				r.enqueueRivals(ctx, q, e.Object)
			},
			UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q watch.RequestQueue) {
				r.enqueueRivals(ctx, q, e.ObjectOld, e.ObjectNew)
			},
			DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q watch.RequestQueue) {
				r.enqueueRivals(ctx, q, e.Object)
			},
		}, builder.WithPredicates(predicate.GenerationChangedPredicate{}, watch.ExceptInitialList)).
		Watches(&v1alpha1.Client{}, watch.LowPriorityHandler(func(ctx context.Context, obj client.Object) []reconcile.Request {
			return watch.UserRequests(ctx, r.Client, index.IndexAccount, obj.GetName())
		}), builder.WithPredicates(predicate.Or(predicate.GenerationChangedPredicate{}, accountIDChanged), watch.ExceptInitialList)).
		WatchesRawSource(watch.PasswordSecretSource(passwords, func(ctx context.Context, name string) []reconcile.Request {
			return watch.UserRequests(ctx, r.Client, index.IndexPassword, name)
		})).
		Watches(&v1alpha1.TokenRecord{}, handler.Funcs{
			CreateFunc: func(_ context.Context, e event.CreateEvent, q watch.RequestQueue) { recount(q, e.Object) },
			UpdateFunc: func(_ context.Context, e event.UpdateEvent, q watch.RequestQueue) { recount(q, e.ObjectNew) },
			DeleteFunc: func(_ context.Context, e event.DeleteEvent, q watch.RequestQueue) { recount(q, e.Object) },
		}, builder.WithPredicates(predicate.GenerationChangedPredicate{}, session.LoginRecordsOnly, watch.ExceptInitialList)).
		Complete(reconcile.AsReconciler(r.Client, r))
}

// accountIDChanged accepts updates in which a Client was given its account ID, or lost it.
var accountIDChanged = predicate.Funcs{
	CreateFunc: func(event.CreateEvent) bool { return false },
	DeleteFunc: func(event.DeleteEvent) bool { return false },
	UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok1 := e.ObjectOld.(*v1alpha1.Client)
		now, ok2 := e.ObjectNew.(*v1alpha1.Client)
		return ok1 && ok2 && !equality.Semantic.DeepEqual(before.Status.AccountID, now.Status.AccountID)
	},
}

// enqueueRivals enqueues the other Users that ask for the usernames which a User has or had.
func (r *Reconciler) enqueueRivals(ctx context.Context, q watch.RequestQueue, versions ...client.Object) {
	for _, obj := range versions {
		u, ok := obj.(*v1alpha1.User)
		if !ok {
			continue
		}
		for _, request := range watch.UserRequests(ctx, r.Client, index.IndexUsername, directory.UsernameOf(u)) {
			if request.Name != u.Name {
				watch.AddRequests(q, watch.PriorityRoutine, request)
			}
		}
	}
}
