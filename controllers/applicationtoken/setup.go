package applicationtoken

import (
	"context"
	"hash/maphash"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/controllers/watch"
	"github.com/apptoken/operator/internal/fairqueue"
)

// urgentWorkersPerWorker is the number of urgent workers for each of the other workers.
const urgentWorkersPerWorker = 4

// Percentages of the workers that one namespace may have at a time. The percentage of urgent
// workers is higher: users wait for first tokens, beside thousands of other tokens that rotate. A
// namespace with a backlog has less: see fairqueue.
const (
	namespacePercent       = 25
	urgentNamespacePercent = 75
)

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
	reconcileOne := func(ctx context.Context, request reconcile.Request) (ctrl.Result, error) {
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
		WatchesRawSource(watch.QuotaSource{Quota: r.Quota, Limits: r.cachedLimits}).
		Watches(&v1alpha1.Client{}, r.clientEventHandler(), builder.WithPredicates(predicate.GenerationChangedPredicate{}, watch.ExceptInitialList)).
		Watches(&v1alpha1.User{}, watch.LowPriorityHandler(r.tokensOfUser), builder.WithPredicates(predicate.GenerationChangedPredicate{}, watch.ExceptInitialList)).
		WatchesMetadata(namespaces, watch.LowPriorityHandler(r.tokensOfNamespace), builder.WithPredicates(predicate.LabelChangedPredicate{}, watch.ExceptInitialList)).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers, NewQueue: fairqueue.New(workers*namespacePercent/100, r.Now)}).
		Complete(reconcile.Func(reconcileOne))
	if err != nil {
		return err
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("applicationtoken-urgent").
		Watches(&v1alpha1.ApplicationToken{}, handler.Funcs{
			CreateFunc: func(_ context.Context, e event.CreateEvent, q watch.RequestQueue) { enqueueUrgent(q, e.Object) },
			UpdateFunc: func(_ context.Context, e event.UpdateEvent, q watch.RequestQueue) { enqueueUrgent(q, e.ObjectNew) },
		}, builder.WithPredicates(watch.SpecChanged)).
		WatchesRawSource(watch.QuotaSource{Quota: r.Quota}).
		WithOptions(controller.Options{MaxConcurrentReconciles: urgentWorkersPerWorker * workers, NewQueue: fairqueue.New(urgentWorkersPerWorker*workers*urgentNamespacePercent/100, r.Now)}).
		Complete(reconcile.Func(func(ctx context.Context, request reconcile.Request) (ctrl.Result, error) {
			_, err := reconcileOne(ctx, request)
			return ctrl.Result{}, err
		}))
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
