package session

import (
	"context"

	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/controllers/index"
	"github.com/apptoken/operator/controllers/watch"
	"github.com/apptoken/operator/internal/directory"
	"github.com/apptoken/operator/internal/login"
)

// SetupWithManager adds the controllers to the manager: of records, and of the limits of each user.
// The passwords are read from a cache that the manager starts.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, passwords cache.Cache, workers int) error {
	err := ctrl.NewControllerManagedBy(mgr).
		Named("login").
		Watches(&v1alpha1.TokenRecord{}, watch.LowPriorityHandler(watch.RequestForObject), builder.WithPredicates(predicate.GenerationChangedPredicate{}, watch.LoginRecordsOnly)).
		Watches(&v1alpha1.User{}, watch.LowPriorityHandler(func(ctx context.Context, obj client.Object) []reconcile.Request {
			return r.requestsOfUsers(ctx, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(obj)})
		}), builder.WithPredicates(predicate.GenerationChangedPredicate{}, watch.ExceptInitialList)).
		WatchesRawSource(watch.PasswordSecretSource(passwords, func(ctx context.Context, name string) []reconcile.Request {
			return r.requestsOfUsers(ctx, watch.UserRequests(ctx, r.Client, index.UsersByPasswordSecret, name)...)
		})).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).
		Complete(reconcile.AsReconciler(r.Client, r))
	if err != nil {
		return err
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("login-limit").
		Watches(&v1alpha1.TokenRecord{}, handler.Funcs{CreateFunc: enqueueAfterLogin}, builder.WithPredicates(watch.LoginRecordsOnly)).
		Watches(&v1alpha1.User{}, handler.Funcs{UpdateFunc: enqueueOnUserLimits}).
		Watches(&v1alpha1.Client{}, handler.Funcs{UpdateFunc: r.enqueueOnClientLimits}).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).
		Complete(reconcile.AsReconciler(r.Client, limitReconciler{r}))
}

// limitReconciler reconciles Users by EnforceLimits.
type limitReconciler struct{ logins *Reconciler }

// Reconcile ends the excess logins of a user.
func (l limitReconciler) Reconcile(ctx context.Context, u *v1alpha1.User) (ctrl.Result, error) {
	return l.logins.EnforceLimits(ctx, u)
}

// requestsOfUsers returns requests for the records of the logins of users.
func (r *Reconciler) requestsOfUsers(ctx context.Context, users ...reconcile.Request) []reconcile.Request {
	var requests []reconcile.Request
	for _, u := range users {
		rs, err := directory.LoginRecordsOf(ctx, r.Client, r.Records.Namespace(), u.Name)
		if err != nil {
			return nil // the cache is stopping
		}
		for _, rec := range rs {
			requests = append(requests, r.recordRequest(rec.Name()))
		}
	}
	return requests
}

// enqueueAfterLogin enqueues the user of a new login, once for all logins until then. At first the
// replica that opened a login enforces the limit.
func enqueueAfterLogin(_ context.Context, e event.CreateEvent, q watch.RequestQueue) {
	if rec, ok := e.Object.(*v1alpha1.TokenRecord); ok {
		q.AddAfter(reconcile.Request{NamespacedName: types.NamespacedName{Name: rec.Spec.Owner.Name}}, login.CollectDelay)
	}
}

// enqueueOnUserLimits enqueues a user whose own limits have changed. They may be lower now.
func enqueueOnUserLimits(_ context.Context, e event.UpdateEvent, q watch.RequestQueue) {
	before, ok1 := e.ObjectOld.(*v1alpha1.User)
	now, ok2 := e.ObjectNew.(*v1alpha1.User)
	if ok1 && ok2 && directory.LoginLimitsOf(before) != directory.LoginLimitsOf(now) {
		watch.AddRequests(q, watch.PriorityRoutine, reconcile.Request{NamespacedName: types.NamespacedName{Name: now.Name}})
	}
}

// enqueueOnClientLimits enqueues the users at a client whose limits have changed. They may be
// lower now.
func (r *Reconciler) enqueueOnClientLimits(ctx context.Context, e event.UpdateEvent, q watch.RequestQueue) {
	before, ok1 := e.ObjectOld.(*v1alpha1.Client)
	now, ok2 := e.ObjectNew.(*v1alpha1.Client)
	if ok1 && ok2 && directory.LoginPolicyOf(before).Limits != directory.LoginPolicyOf(now).Limits {
		watch.AddRequests(q, watch.PriorityRoutine, watch.UserRequests(ctx, r.Client, index.UsersByAccount, now.Name)...)
	}
}

func (r *Reconciler) recordRequest(name string) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Namespace: r.Records.Namespace(), Name: name}}
}
