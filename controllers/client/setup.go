package client

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/controllers/watch"
	"github.com/apptoken/operator/internal/directory"
)

// tokenCountInterval is the interval at which a Client's counts are updated while its tokens
// change.
const tokenCountInterval = time.Second

// SetupWithManager adds the controller to the manager.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("client").
		For(&v1alpha1.Client{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&v1alpha1.Client{}, watch.LowPriorityHandler(r.rivalRequests), builder.WithPredicates(predicate.GenerationChangedPredicate{}, watch.ExceptInitialList)).
		Watches(&v1alpha1.ApplicationToken{}, handler.Funcs{
			CreateFunc: func(_ context.Context, e event.CreateEvent, q watch.RequestQueue) { enqueueRecount(q, e.Object) },
			UpdateFunc: func(_ context.Context, e event.UpdateEvent, q watch.RequestQueue) {
				enqueueRecount(q, e.ObjectOld)
				enqueueRecount(q, e.ObjectNew)
			},
			DeleteFunc: func(_ context.Context, e event.DeleteEvent, q watch.RequestQueue) { enqueueRecount(q, e.Object) },
		}).
		Complete(reconcile.AsReconciler(r.Client, r))
}

// rivalRequests returns requests for the clients that wait for an accountID which another client
// has, or had until now. It adds those that keep an accountID which another client asks for, or
// asked for until now.
func (r *Reconciler) rivalRequests(ctx context.Context, obj client.Object) []reconcile.Request {
	var list v1alpha1.ClientList
	if err := r.Client.List(ctx, &list, client.UnsafeDisableDeepCopy, client.DisableReadYourWritesConsistency); err != nil {
		return nil // the cache is stopping
	}
	var requests []reconcile.Request
	for i := range list.Items {
		c := &list.Items[i]
		waits := c.Spec.AccountID != nil && directory.HeldAccountID(c) == nil
		contested := meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionAccountIDContested) != nil
		asked := false
		if changed, ok := obj.(*v1alpha1.Client); ok {
			_, asked = directory.AccountIDClaim(changed.Spec.AccountID)(c)
		}
		if c.Name != obj.GetName() && (waits || contested || asked) {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
		}
	}
	return requests
}

// enqueueRecount enqueues a client, to count its tokens once after tokenCountInterval, however many
// of them change until then.
func enqueueRecount(q watch.RequestQueue, obj client.Object) {
	if name := obj.(*v1alpha1.ApplicationToken).ClientName(); name != "" {
		q.AddAfter(reconcile.Request{NamespacedName: types.NamespacedName{Name: name}}, tokenCountInterval)
	}
}
