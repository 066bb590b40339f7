package watch

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/apptoken/operator/api/v1alpha1"
)

// Indexes of the cache.
const ()

// RequestQueue is the queue of a controller.
type RequestQueue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// SpecChanged accepts changes that another writer made to a token. The operator's own finalizer and
// status carry nothing new.
var SpecChanged = predicate.Funcs{
	UpdateFunc: func(e event.UpdateEvent) bool {
		return e.ObjectOld.GetGeneration() != e.ObjectNew.GetGeneration() ||
			!equality.Semantic.DeepEqual(e.ObjectOld.GetDeletionTimestamp(), e.ObjectNew.GetDeletionTimestamp()) ||
			slices.ContainsFunc(e.ObjectOld.GetFinalizers(), func(f string) bool { return !slices.Contains(e.ObjectNew.GetFinalizers(), f) }) ||
			slices.ContainsFunc([]string{v1alpha1.AnnotationRotate, v1alpha1.AnnotationRotateSelf, v1alpha1.AnnotationRecord}, func(key string) bool {
				return e.ObjectOld.GetAnnotations()[key] != e.ObjectNew.GetAnnotations()[key]
			})
	},
}

// ExceptInitialList leaves out objects of the initial list: every token is reconciled then in any
// case.
var ExceptInitialList = predicate.Funcs{CreateFunc: func(e event.CreateEvent) bool { return !e.IsInInitialList }}

// AddRequests enqueues requests, by priority where the queue has priorities.
func AddRequests(q RequestQueue, priority int, requests ...reconcile.Request) {
	if pq, ok := q.(priorityqueue.PriorityQueue[reconcile.Request]); ok {
		pq.AddWithOpts(priorityqueue.AddOpts{Priority: &priority}, requests...)
		return
	}
	for _, request := range requests {
		q.Add(request)
	}
}

// LowPriorityHandler enqueues the requests that a change of one object leads to for many others,
// behind everything else.
func LowPriorityHandler(to handler.MapFunc) handler.EventHandler {
	enqueue := func(ctx context.Context, q RequestQueue, obj client.Object) {
		AddRequests(q, PriorityRoutine, to(ctx, obj)...)
	}
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q RequestQueue) { enqueue(ctx, q, e.Object) },
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q RequestQueue) { enqueue(ctx, q, e.ObjectNew) },
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q RequestQueue) { enqueue(ctx, q, e.Object) },
	}
}

// RequestForObject returns the request for an object itself.
func RequestForObject(_ context.Context, obj client.Object) []reconcile.Request {
	return []reconcile.Request{{NamespacedName: client.ObjectKeyFromObject(obj)}}
}

// UserRequests returns requests for the Users that an index finds.
func UserRequests(ctx context.Context, from client.Reader, index, value string) []reconcile.Request {
	var list v1alpha1.UserList
	err := from.List(ctx, &list, client.MatchingFields{index: value}, client.UnsafeDisableDeepCopy, client.DisableReadYourWritesConsistency)
	if err != nil {
		return nil // the cache is stopping
	}
	requests := make([]reconcile.Request, len(list.Items))
	for i := range list.Items {
		requests[i].NamespacedName = client.ObjectKeyFromObject(&list.Items[i])
	}
	return requests
}

// PasswordSecretSource enqueues the requests that a Secret leads to when it is created, changed or
// deleted, behind everything else. Secrets of the initial list are left out: their objects are
// reconciled then in any case.
func PasswordSecretSource(passwords cache.Cache, to func(ctx context.Context, name string) []reconcile.Request) source.Source {
	enqueue := func(ctx context.Context, q RequestQueue, s *corev1.Secret) {
		AddRequests(q, PriorityRoutine, to(ctx, s.Name)...)
	}
	return source.Kind(passwords, &corev1.Secret{}, handler.TypedFuncs[*corev1.Secret, reconcile.Request]{
		CreateFunc: func(ctx context.Context, e event.TypedCreateEvent[*corev1.Secret], q RequestQueue) {
			if !e.IsInInitialList {
				enqueue(ctx, q, e.Object)
			}
		},
		UpdateFunc: func(ctx context.Context, e event.TypedUpdateEvent[*corev1.Secret], q RequestQueue) {
			if e.ObjectOld.ResourceVersion != e.ObjectNew.ResourceVersion { // otherwise it is a resync
				enqueue(ctx, q, e.ObjectNew)
			}
		},
		DeleteFunc: func(ctx context.Context, e event.TypedDeleteEvent[*corev1.Secret], q RequestQueue) {
			enqueue(ctx, q, e.Object)
		},
	})
}

// Priorities in the queues of the controllers. The end of a token comes before a first issue, and
// both come before rotations and routine work.
const (
	PriorityEnd     = 20  // tokens and records that end
	PriorityNew     = 10  // tokens without a first version
	PriorityRoutine = -10 // objects that a change of another object leads to
)
