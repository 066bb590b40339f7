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

// SetupWithManager adds the controller to the manager. The passwords are read from a cache that the
// manager starts.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, passwords cache.Cache, workers int) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("login").
		Watches(&v1alpha1.TokenRecord{}, watch.LowPriorityHandler(watch.RequestForObject), builder.WithPredicates(predicate.GenerationChangedPredicate{}, watch.LoginRecordsOnly)).
		Watches(&v1alpha1.User{}, watch.LowPriorityHandler(func(ctx context.Context, obj client.Object) []reconcile.Request {
			return r.requestsOfUsers(ctx, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(obj)})
		}), builder.WithPredicates(predicate.GenerationChangedPredicate{}, watch.ExceptInitialList)).
		WatchesRawSource(watch.PasswordSecretSource(passwords, func(ctx context.Context, name string) []reconcile.Request {
			return r.requestsOfUsers(ctx, watch.UserRequests(ctx, r.Client, index.UsersByPasswordSecret, name)...)
		})).
		Watches(&v1alpha1.Client{}, handler.Funcs{UpdateFunc: r.enqueueOnLowerLimit}).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).
		Complete(reconcile.AsReconciler(r.Client, r))
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

// enqueueOnLowerLimit enqueues the logins at a client that allows fewer from now on.
func (r *Reconciler) enqueueOnLowerLimit(ctx context.Context, e event.UpdateEvent, q watch.RequestQueue) {
	before, ok1 := e.ObjectOld.(*v1alpha1.Client)
	now, ok2 := e.ObjectNew.(*v1alpha1.Client)
	if !ok1 || !ok2 || directory.LoginPolicyOf(now).MaxSessions >= directory.LoginPolicyOf(before).MaxSessions {
		return
	}
	var list v1alpha1.TokenRecordList
	err := r.Client.List(ctx, &list, client.InNamespace(r.Records.Namespace()), client.UnsafeDisableDeepCopy, client.DisableReadYourWritesConsistency)
	if err != nil {
		return // the cache is stopping
	}
	for i := range list.Items {
		if s := &list.Items[i].Spec; s.Owner.Kind == login.OwnerKindUser && s.Client == now.Name {
			watch.AddRequests(q, watch.PriorityRoutine, r.recordRequest(list.Items[i].Name))
		}
	}
}

func (r *Reconciler) recordRequest(name string) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Namespace: r.Records.Namespace(), Name: name}}
}
