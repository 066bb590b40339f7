package applicationtoken

import (
	"context"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/controllers/index"
	"github.com/apptoken/operator/controllers/watch"
	"github.com/apptoken/operator/internal/tokenspec"
)

// tokensOfSecret returns requests for the token that a Secret is labelled with, the token that
// controls it, and the token that it is offered to.
func tokensOfSecret(_ context.Context, obj client.Object) []reconcile.Request {
	names := []string{obj.GetLabels()[v1alpha1.LabelToken], obj.GetAnnotations()[v1alpha1.AnnotationAdopt]}
	if o := metav1.GetControllerOf(obj); o != nil && tokenspec.IsTokenReference(o) {
		names = append(names, o.Name)
	}
	slices.Sort(names)
	var requests []reconcile.Request
	for _, name := range slices.Compact(names) {
		if name != "" {
			requests = append(requests, reconcile.Request{NamespacedName: types.NamespacedName{Namespace: obj.GetNamespace(), Name: name}})
		}
	}
	return requests
}

func tokenOfRecord(_ context.Context, obj client.Object) []reconcile.Request {
	o := obj.(*v1alpha1.TokenRecord).Spec.Owner
	if o.Kind != tokenspec.OwnerKind {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: o.Namespace, Name: o.Name}}}
}

func (r *Reconciler) clonesOf(ctx context.Context, obj client.Object) []reconcile.Request {
	return r.tokenRequests(ctx, client.InNamespace(obj.GetNamespace()), client.MatchingFields{index.TokensBySource: obj.GetName()})
}

func (r *Reconciler) tokensOfClient(ctx context.Context, obj client.Object) []reconcile.Request {
	return r.tokenRequests(ctx, client.MatchingFields{index.TokensByClient: obj.GetName()})
}

func (r *Reconciler) tokensOfUser(ctx context.Context, obj client.Object) []reconcile.Request {
	return r.tokenRequests(ctx, client.MatchingFields{index.TokensByUser: obj.GetName()})
}

func (r *Reconciler) tokensOfNamespace(ctx context.Context, obj client.Object) []reconcile.Request {
	return r.tokenRequests(ctx, client.InNamespace(obj.GetName()))
}

func (r *Reconciler) tokenRequests(ctx context.Context, which ...client.ListOption) []reconcile.Request {
	var list v1alpha1.ApplicationTokenList
	which = append(which, client.UnsafeDisableDeepCopy, client.DisableReadYourWritesConsistency)
	if err := r.Client.List(ctx, &list, which...); err != nil {
		return nil // the cache is stopping
	}
	requests := make([]reconcile.Request, len(list.Items))
	for i := range list.Items {
		requests[i].NamespacedName = client.ObjectKeyFromObject(&list.Items[i])
	}
	return requests
}

// enqueueUrgent enqueues a token that cannot wait.
func enqueueUrgent(q watch.RequestQueue, obj client.Object) {
	at, ok := obj.(*v1alpha1.ApplicationToken)
	if !ok {
		return
	}
	request := reconcile.Request{NamespacedName: client.ObjectKeyFromObject(at)}
	switch {
	case !at.DeletionTimestamp.IsZero(), at.Spec.State != v1alpha1.TokenActive && at.Status.ObservedGeneration != at.Generation:
		watch.AddRequests(q, watch.PriorityEnd, request)
	case at.Spec.State == v1alpha1.TokenActive && at.Status.Current == nil:
		watch.AddRequests(q, watch.PriorityNew, request)
	}
}

// forgetDeleted returns a handler that forgets each deleted token. A token without its finalizer
// can be deleted before it is reconciled. The handler waits for a reconcile that may still keep
// something in memory. The watch has only this handler, so that no other event waits.
func (r *Reconciler) forgetDeleted(locks *tokenLocks) handler.EventHandler {
	return handler.Funcs{DeleteFunc: func(_ context.Context, e event.DeleteEvent, _ watch.RequestQueue) {
		at, ok := e.Object.(*v1alpha1.ApplicationToken)
		if !ok {
			return
		}
		lock := locks.lockFor(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(at)})
		lock.Lock()
		defer lock.Unlock()
		r.forget(at)
	}}
}

// clientEventHandler enqueues the tokens of a client that has changed. If only its quota has
// changed, it enqueues those waiting tokens that get quota now.
func (r *Reconciler) clientEventHandler() handler.EventHandler {
	all := watch.LowPriorityHandler(r.tokensOfClient).(handler.Funcs)
	every := all.UpdateFunc
	all.UpdateFunc = func(ctx context.Context, e event.UpdateEvent, q watch.RequestQueue) {
		before, ok1 := e.ObjectOld.(*v1alpha1.Client)
		now, ok2 := e.ObjectNew.(*v1alpha1.Client)
		if ok1 && ok2 && equality.Semantic.DeepEqual(specWithoutQuota(before), specWithoutQuota(now)) {
			r.Quota.Allocate(now.Name)
			return
		}
		every(ctx, e, q)
	}
	return all
}

// specWithoutQuota returns the spec of a client without its limits.
func specWithoutQuota(c *v1alpha1.Client) *v1alpha1.ClientSpec {
	spec := c.Spec.DeepCopy()
	spec.Tokens.MaxCount, spec.Tokens.MaxCountPerUser = nil, nil
	for i := range spec.Grants {
		spec.Grants[i].MaxCount = nil
	}
	return spec
}
