package controllers

import (
	"context"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/apptoken/operator/api/v1alpha1"
)

func itself(_ context.Context, obj client.Object) []reconcile.Request {
	return []reconcile.Request{{NamespacedName: client.ObjectKeyFromObject(obj)}}
}

// tokensOfSecret returns requests for the token that a Secret is labelled with, the token that
// controls it, and the token that it is offered to.
func tokensOfSecret(_ context.Context, obj client.Object) []reconcile.Request {
	names := []string{obj.GetLabels()[v1alpha1.LabelToken], obj.GetAnnotations()[v1alpha1.AnnotationAdopt]}
	if o := metav1.GetControllerOf(obj); o != nil && isToken(o) {
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
	if o.Kind != ownerKind {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: o.Namespace, Name: o.Name}}}
}

func (r *ApplicationTokens) clonesOf(ctx context.Context, obj client.Object) []reconcile.Request {
	return r.requests(ctx, client.InNamespace(obj.GetNamespace()), client.MatchingFields{IndexSource: obj.GetName()})
}

func (r *ApplicationTokens) tokensOfClient(ctx context.Context, obj client.Object) []reconcile.Request {
	return r.requests(ctx, client.MatchingFields{IndexClient: obj.GetName()})
}

func (r *ApplicationTokens) tokensOfUser(ctx context.Context, obj client.Object) []reconcile.Request {
	return r.requests(ctx, client.MatchingFields{IndexUser: obj.GetName()})
}

func (r *ApplicationTokens) tokensOfNamespace(ctx context.Context, obj client.Object) []reconcile.Request {
	return r.requests(ctx, client.InNamespace(obj.GetName()))
}

func (r *ApplicationTokens) requests(ctx context.Context, which ...client.ListOption) []reconcile.Request {
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

// replaced enqueues the record that a token of delivery Response named until now.
func (r *TokenRecords) replaced(_ context.Context, e event.UpdateEvent, q queue) {
	was := e.ObjectOld.GetAnnotations()[v1alpha1.AnnotationRecord]
	if was != "" && was != e.ObjectNew.GetAnnotations()[v1alpha1.AnnotationRecord] {
		q.Add(reconcile.Request{NamespacedName: types.NamespacedName{Namespace: r.Records.Namespace(), Name: was}})
	}
}

// orphaned enqueues the records of a deleted token.
func (r *TokenRecords) orphaned(ctx context.Context, e event.DeleteEvent, q queue) {
	at, ok := e.Object.(*v1alpha1.ApplicationToken)
	if !ok {
		return
	}
	records, err := r.Records.Of(ctx, owner(at))
	if err != nil {
		return // the cache is stopping
	}
	for _, rec := range records {
		q.Add(reconcile.Request{NamespacedName: types.NamespacedName{Namespace: r.Records.Namespace(), Name: rec.Name()}})
	}
}
