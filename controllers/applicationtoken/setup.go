package applicationtoken

import (
	"context"
	"hash/maphash"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
	"github.com/apptoken/operator/controllers/index"
	"github.com/apptoken/operator/controllers/watch"
	"github.com/apptoken/operator/internal/fairqueue"
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

// tokenLocks lets one pass at a time work on a token. Tokens share locks by a hash with a seed of
// this process, so that no tenant can choose names that block another's tokens.
type tokenLocks struct {
	seed  maphash.Seed
	locks [1 << 10]sync.Mutex
}

func newTokenLocks() *tokenLocks { return &tokenLocks{seed: maphash.MakeSeed()} }

func (l *tokenLocks) lockFor(request reconcile.Request) *sync.Mutex {
	return &l.locks[maphash.Comparable(l.seed, request)%uint64(len(l.locks))]
}

// SetupWithManager adds two controllers to the manager. The first has that many workers, the second
// urgentWorkersPerWorker times as many. The queue of each is fair between namespaces.
//
// Thousands of tokens may be due at once, and the API server accepts as much from each worker. So
// passes that end a token, and first issues, have a queue and workers of their own, and neither
// queue waits for the other. Every token is in the first queue, which remembers when to reconcile
// it again. The second queue retries a token only after an error.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, workers int) error {
	r.began = r.Now()
	namespaces := &metav1.PartialObjectMetadata{}
	namespaces.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	locks := newTokenLocks()
	pass := func(ctx context.Context, request reconcile.Request) (ctrl.Result, error) {
		lock := locks.lockFor(request)
		lock.Lock()
		defer lock.Unlock()
		return reconcile.AsReconciler(r.Client, r).Reconcile(ctx, request)
	}
	err := ctrl.NewControllerManagedBy(mgr).
		Named("applicationtoken").
		Watches(&v1alpha1.ApplicationToken{}, &handler.EnqueueRequestForObject{}, builder.WithPredicates(watch.SpecChanged)).
		Watches(&v1alpha1.ApplicationToken{}, r.forgetDeleted(locks)).
		Watches(&v1alpha1.ApplicationToken{}, handler.EnqueueRequestsFromMapFunc(r.clonesOf)).
		Watches(&v1alpha1.ApplicationToken{}, handler.EnqueueRequestsFromMapFunc(r.secretNameCycleRequests), builder.WithPredicates(watch.SpecChanged, watch.ExceptInitialList)).
		Watches(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(tokensOfSecret)).
		Watches(&v1alpha1.TokenRecord{}, handler.EnqueueRequestsFromMapFunc(tokenOfRecord)).
		WatchesRawSource(quotaSource{r.Quota, r.cachedLimits}).
		Watches(&v1alpha1.Client{}, r.clientEventHandler(), builder.WithPredicates(predicate.GenerationChangedPredicate{}, watch.ExceptInitialList)).
		Watches(&v1alpha1.User{}, watch.LowPriorityHandler(r.tokensOfUser), builder.WithPredicates(predicate.GenerationChangedPredicate{}, watch.ExceptInitialList)).
		WatchesMetadata(namespaces, watch.LowPriorityHandler(r.tokensOfNamespace), builder.WithPredicates(predicate.LabelChangedPredicate{}, watch.ExceptInitialList)).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers, NewQueue: fairqueue.New(workers*namespacePercent/100, r.Now)}).
		Complete(reconcile.Func(pass))
	if err != nil {
		return err
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("applicationtoken-urgent").
		Watches(&v1alpha1.ApplicationToken{}, handler.Funcs{
			CreateFunc: func(_ context.Context, e event.CreateEvent, q watch.RequestQueue) { EnqueueUrgent(q, e.Object) },
			UpdateFunc: func(_ context.Context, e event.UpdateEvent, q watch.RequestQueue) { EnqueueUrgent(q, e.ObjectNew) },
		}, builder.WithPredicates(watch.SpecChanged)).
		WatchesRawSource(quotaSource{quota: r.Quota}).
		WithOptions(controller.Options{MaxConcurrentReconciles: urgentWorkersPerWorker * workers, NewQueue: fairqueue.New(urgentWorkersPerWorker*workers*urgentNamespacePercent/100, r.Now)}).
		Complete(reconcile.Func(func(ctx context.Context, request reconcile.Request) (ctrl.Result, error) {
			_, err := pass(ctx, request)
			return ctrl.Result{}, err
		}))
}

// urgentWorkersPerWorker is the number of urgent workers for each of the other workers.
const urgentWorkersPerWorker = 4

const namespacePercent = 25

const urgentNamespacePercent = 75

// EnqueueUrgent enqueues a token that cannot wait.
func EnqueueUrgent(q watch.RequestQueue, obj client.Object) {
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
