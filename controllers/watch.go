package controllers

import (
	"context"
	"fmt"
	"hash/maphash"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/fairqueue"
	"github.com/apptoken/operator/internal/record"
)

// Indexes of the cache.
const (
	// IndexClient finds the ApplicationTokens that act for a client.
	IndexClient = "client"
	// IndexSource finds the ApplicationTokens of a namespace that wait to clone another.
	IndexSource = "source"
	// IndexUser finds the ApplicationTokens that act for a user.
	IndexUser = "user"
)

// IndexFields adds the indexes that the reconcilers list by.
func IndexFields(ctx context.Context, indexer client.FieldIndexer) error {
	at, rec, user := &v1alpha1.ApplicationToken{}, &v1alpha1.TokenRecord{}, &v1alpha1.User{}
	for _, x := range []struct {
		of   client.Object
		name string
		by   client.IndexerFunc
	}{
		{at, IndexClient, func(o client.Object) []string { return some(clientOf(o.(*v1alpha1.ApplicationToken))) }},
		{at, IndexSource, func(o client.Object) []string { return some(sourceOf(o.(*v1alpha1.ApplicationToken))) }},
		{at, IndexUser, func(o client.Object) []string { return some(userOf(o.(*v1alpha1.ApplicationToken))) }},
		{rec, record.IndexOwner, record.OwnerOf},
		{rec, record.FieldFamily, func(o client.Object) []string {
			if refresh := o.(*v1alpha1.TokenRecord).Spec.Refresh; refresh != nil {
				return []string{string(refresh.Family)}
			}
			return nil
		}},
		{user, IndexUsername, func(o client.Object) []string { return []string{usernameOf(o.(*v1alpha1.User))} }},
		{user, IndexPassword, func(o client.Object) []string { return passwordOf(o.(*v1alpha1.User)) }},
		{user, IndexAccount, func(o client.Object) []string { return clientsOf(o.(*v1alpha1.User)) }},
	} {
		if err := indexer.IndexField(ctx, x.of, x.name, x.by); err != nil {
			return fmt.Errorf("index %s: %w", x.name, err)
		}
	}
	return nil
}

func clientOf(at *v1alpha1.ApplicationToken) string {
	if at.Spec.ClientRef != nil {
		return string(at.Spec.ClientRef.Name)
	}
	if at.Spec.UserRef != nil && at.Spec.UserRef.Client != "" {
		return at.Spec.UserRef.Client
	}
	return at.Status.Client
}

func userOf(at *v1alpha1.ApplicationToken) string {
	if at.Spec.UserRef == nil {
		return ""
	}
	return string(at.Spec.UserRef.Name)
}

func sourceOf(at *v1alpha1.ApplicationToken) string {
	if at.Spec.CloneFrom != nil && !isCloned(at) {
		return string(at.Spec.CloneFrom.Name)
	}
	return ""
}

func some(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// tokenLocks lets one pass at a time work on a token. Tokens share locks by a hash with a seed of
// this process, so that no tenant can choose names that block another's tokens.
type tokenLocks struct {
	seed  maphash.Seed
	locks [1 << 10]sync.Mutex
}

func newTokenLocks() *tokenLocks { return &tokenLocks{seed: maphash.MakeSeed()} }

func (l *tokenLocks) of(request reconcile.Request) *sync.Mutex {
	return &l.locks[maphash.Comparable(l.seed, request)%uint64(len(l.locks))]
}

// SetupWithManager adds two controllers to the manager. The first has that many workers, the second
// urgentShare times as many. The queue of each is fair between namespaces.
//
// Thousands of tokens may be due at once, and the API server accepts as much from each worker. So
// passes that end a token, and first issues, have a queue and workers of their own, and neither
// queue waits for the other. Every token is in the first queue, which remembers when to reconcile
// it again. The second queue retries a token only after an error.
func (r *ApplicationTokens) SetupWithManager(mgr ctrl.Manager, workers int) error {
	r.began = r.Now()
	namespaces := &metav1.PartialObjectMetadata{}
	namespaces.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	locks := newTokenLocks()
	pass := func(ctx context.Context, request reconcile.Request) (ctrl.Result, error) {
		lock := locks.of(request)
		lock.Lock()
		defer lock.Unlock()
		return reconcile.AsReconciler(r.Client, r).Reconcile(ctx, request)
	}
	err := ctrl.NewControllerManagedBy(mgr).
		Named("applicationtoken").
		Watches(&v1alpha1.ApplicationToken{}, &handler.EnqueueRequestForObject{}, builder.WithPredicates(SpecChanged)).
		Watches(&v1alpha1.ApplicationToken{}, r.forgetDeleted(locks)).
		Watches(&v1alpha1.ApplicationToken{}, handler.EnqueueRequestsFromMapFunc(r.clonesOf)).
		Watches(&v1alpha1.ApplicationToken{}, handler.EnqueueRequestsFromMapFunc(r.exchangeWith), builder.WithPredicates(SpecChanged, notInitial)).
		Watches(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(tokensOfSecret)).
		Watches(&v1alpha1.TokenRecord{}, handler.EnqueueRequestsFromMapFunc(tokenOfRecord)).
		WatchesRawSource(quotaSource{r.Quota, r.cachedLimits}).
		Watches(&v1alpha1.Client{}, r.clientChanged(), builder.WithPredicates(predicate.GenerationChangedPredicate{}, notInitial)).
		Watches(&v1alpha1.User{}, lowPriority(r.tokensOfUser), builder.WithPredicates(predicate.GenerationChangedPredicate{}, notInitial)).
		WatchesMetadata(namespaces, lowPriority(r.tokensOfNamespace), builder.WithPredicates(predicate.LabelChangedPredicate{}, notInitial)).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers, NewQueue: fairqueue.New(workers*namespacePercent/100, r.Now)}).
		Complete(reconcile.Func(pass))
	if err != nil {
		return err
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("applicationtoken-urgent").
		Watches(&v1alpha1.ApplicationToken{}, handler.Funcs{
			CreateFunc: func(_ context.Context, e event.CreateEvent, q queue) { Hurry(q, e.Object) },
			UpdateFunc: func(_ context.Context, e event.UpdateEvent, q queue) { Hurry(q, e.ObjectNew) },
		}, builder.WithPredicates(SpecChanged)).
		WatchesRawSource(quotaSource{quota: r.Quota}).
		WithOptions(controller.Options{MaxConcurrentReconciles: urgentShare * workers, NewQueue: fairqueue.New(urgentShare*workers*urgentNamespacePercent/100, r.Now)}).
		Complete(reconcile.Func(func(ctx context.Context, request reconcile.Request) (ctrl.Result, error) {
			_, err := pass(ctx, request)
			return ctrl.Result{}, err
		}))
}

// forgetDeleted returns a handler that forgets each deleted token. A token without its finalizer
// can be deleted before it is reconciled. The handler waits for a reconcile that may still keep
// something in memory. The watch has only this handler, so that no other event waits.
func (r *ApplicationTokens) forgetDeleted(locks *tokenLocks) handler.EventHandler {
	return handler.Funcs{DeleteFunc: func(_ context.Context, e event.DeleteEvent, _ queue) {
		at, ok := e.Object.(*v1alpha1.ApplicationToken)
		if !ok {
			return
		}
		lock := locks.of(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(at)})
		lock.Lock()
		defer lock.Unlock()
		r.forget(at)
	}}
}

// SetupWithManager adds the controller to the manager.
func (r *TokenRecords) SetupWithManager(mgr ctrl.Manager, workers int) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("tokenrecord").
		Watches(&v1alpha1.TokenRecord{}, lowPriority(itself), builder.WithPredicates(predicate.GenerationChangedPredicate{}, ofTokens)).
		Watches(&v1alpha1.ApplicationToken{}, handler.Funcs{UpdateFunc: r.replaced, DeleteFunc: r.orphaned}).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).
		Complete(reconcile.AsReconciler(r.Client, r))
}

// urgentShare is the number of urgent workers for each of the other workers.
const urgentShare = 4

// Percentages of the workers that one namespace may have at a time. The percentage of urgent
// workers is higher: users wait for first tokens, beside thousands of other tokens that rotate. A
// namespace with a backlog has less: see fairqueue.
const (
	namespacePercent       = 25
	urgentNamespacePercent = 75
)

// countEvery is the interval at which a Client's counts are updated while its tokens change.
const countEvery = time.Second

// SetupWithManager adds the controller to the manager.
func (r *Clients) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("client").
		For(&v1alpha1.Client{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&v1alpha1.Client{}, lowPriority(r.rivals), builder.WithPredicates(predicate.GenerationChangedPredicate{}, notInitial)).
		Watches(&v1alpha1.ApplicationToken{}, handler.Funcs{
			CreateFunc: func(_ context.Context, e event.CreateEvent, q queue) { later(q, e.Object) },
			UpdateFunc: func(_ context.Context, e event.UpdateEvent, q queue) { later(q, e.ObjectOld); later(q, e.ObjectNew) },
			DeleteFunc: func(_ context.Context, e event.DeleteEvent, q queue) { later(q, e.Object) },
		}).
		Complete(reconcile.AsReconciler(r.Client, r))
}

// rivals returns requests for the clients that wait for an accountID which another client has, or
// had until now. It adds those that keep an accountID which another client asks for, or asked for
// until now.
func (r *Clients) rivals(ctx context.Context, obj client.Object) []reconcile.Request {
	var list v1alpha1.ClientList
	if err := r.Client.List(ctx, &list, client.UnsafeDisableDeepCopy, client.DisableReadYourWritesConsistency); err != nil {
		return nil // the cache is stopping
	}
	var requests []reconcile.Request
	for i := range list.Items {
		c := &list.Items[i]
		waits := c.Spec.AccountID != nil && heldAccountID(c) == nil
		contested := meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionAccountIDContested) != nil
		asked := false
		if changed, ok := obj.(*v1alpha1.Client); ok {
			_, asked = accountIDClaim(changed.Spec.AccountID)(c)
		}
		if c.Name != obj.GetName() && (waits || contested || asked) {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
		}
	}
	return requests
}

type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// later enqueues a client, to count its tokens once after countEvery, however many of them change
// until then.
func later(q queue, obj client.Object) {
	if name := clientOf(obj.(*v1alpha1.ApplicationToken)); name != "" {
		q.AddAfter(reconcile.Request{NamespacedName: types.NamespacedName{Name: name}}, countEvery)
	}
}

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

// ofTokens accepts only the records of ApplicationTokens. Logins deletes the others.
var ofTokens = predicate.NewPredicateFuncs(func(obj client.Object) bool {
	return obj.(*v1alpha1.TokenRecord).Spec.Owner.Kind == ownerKind
})

// notInitial leaves out objects of the initial list: every token is reconciled then in any case.
var notInitial = predicate.Funcs{CreateFunc: func(e event.CreateEvent) bool { return !e.IsInInitialList }}

// Hurry enqueues a token that cannot wait.
func Hurry(q queue, obj client.Object) {
	at, ok := obj.(*v1alpha1.ApplicationToken)
	if !ok {
		return
	}
	request := reconcile.Request{NamespacedName: client.ObjectKeyFromObject(at)}
	switch {
	case !at.DeletionTimestamp.IsZero(), at.Spec.State != v1alpha1.TokenActive && at.Status.ObservedGeneration != at.Generation:
		add(q, priorityEnd, request)
	case at.Spec.State == v1alpha1.TokenActive && at.Status.Current == nil:
		add(q, priorityNew, request)
	}
}

func add(q queue, priority int, requests ...reconcile.Request) {
	if pq, ok := q.(priorityqueue.PriorityQueue[reconcile.Request]); ok {
		pq.AddWithOpts(priorityqueue.AddOpts{Priority: &priority}, requests...)
		return
	}
	for _, request := range requests {
		q.Add(request)
	}
}

// lowPriority enqueues the requests that a change of one object leads to for many others, behind
// everything else.
func lowPriority(to handler.MapFunc) handler.EventHandler {
	enqueue := func(ctx context.Context, q queue, obj client.Object) { add(q, priorityRoutine, to(ctx, obj)...) }
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q queue) { enqueue(ctx, q, e.Object) },
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q queue) { enqueue(ctx, q, e.ObjectNew) },
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q queue) { enqueue(ctx, q, e.Object) },
	}
}
