package controllers

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
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
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/login"
)

// Indexes of the cache by which Users are found.
const (
	// IndexUsername finds the Users that log in with a name.
	IndexUsername = "username"
	// IndexPassword finds the Users whose password is in a Secret.
	IndexPassword = "password"
	// IndexAccount finds the Users that have an account at a client.
	IndexAccount = "account"
)

func passwordOf(u *v1alpha1.User) []string {
	if u.Spec.PasswordSecretRef == nil {
		return nil
	}
	return []string{string(u.Spec.PasswordSecretRef.Name)}
}

func clientsOf(u *v1alpha1.User) []string {
	var names []string
	for _, a := range u.Spec.Accounts {
		names = append(names, a.Client)
	}
	return names
}

// sessionsEvery is the interval at which the logins of a User are counted while they come and go.
const sessionsEvery = 5 * time.Second

// SetupWithManager adds the controller to the manager. The passwords are read from a cache that the
// manager starts.
func (r *Users) SetupWithManager(mgr ctrl.Manager, passwords cache.Cache) error {
	recount := func(q queue, obj client.Object) { // once, however many change until then
		q.AddAfter(reconcile.Request{NamespacedName: types.NamespacedName{Name: obj.(*v1alpha1.TokenRecord).Spec.Owner.Name}}, sessionsEvery)
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("user").
		For(&v1alpha1.User{}, builder.WithPredicates(SpecChanged)).
		Watches(&v1alpha1.User{}, handler.Funcs{
			CreateFunc: func(ctx context.Context, e event.CreateEvent, q queue) { r.rivals(ctx, q, e.Object) },
			UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q queue) { r.rivals(ctx, q, e.ObjectOld, e.ObjectNew) },
			DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q queue) { r.rivals(ctx, q, e.Object) },
		}, builder.WithPredicates(predicate.GenerationChangedPredicate{}, notInitial)).
		Watches(&v1alpha1.Client{}, lowPriority(func(ctx context.Context, obj client.Object) []reconcile.Request {
			return usersBy(ctx, r.Client, IndexAccount, obj.GetName())
		}), builder.WithPredicates(predicate.Or(predicate.GenerationChangedPredicate{}, accountIDChanged), notInitial)).
		WatchesRawSource(secretsOf(passwords, func(ctx context.Context, name string) []reconcile.Request {
			return usersBy(ctx, r.Client, IndexPassword, name)
		})).
		Watches(&v1alpha1.TokenRecord{}, handler.Funcs{
			CreateFunc: func(_ context.Context, e event.CreateEvent, q queue) { recount(q, e.Object) },
			UpdateFunc: func(_ context.Context, e event.UpdateEvent, q queue) { recount(q, e.ObjectNew) },
			DeleteFunc: func(_ context.Context, e event.DeleteEvent, q queue) { recount(q, e.Object) },
		}, builder.WithPredicates(predicate.GenerationChangedPredicate{}, ofLogins, notInitial)).
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

// rivals enqueues the other Users that ask for the usernames which a User has or had.
func (r *Users) rivals(ctx context.Context, q queue, versions ...client.Object) {
	for _, obj := range versions {
		u, ok := obj.(*v1alpha1.User)
		if !ok {
			continue
		}
		for _, request := range usersBy(ctx, r.Client, IndexUsername, usernameOf(u)) {
			if request.Name != u.Name {
				add(q, priorityRoutine, request)
			}
		}
	}
}

// SetupWithManager adds the controller to the manager. The passwords are read from a cache that the
// manager starts.
func (r *Logins) SetupWithManager(mgr ctrl.Manager, passwords cache.Cache, workers int) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("login").
		Watches(&v1alpha1.TokenRecord{}, lowPriority(itself), builder.WithPredicates(predicate.GenerationChangedPredicate{}, ofLogins)).
		Watches(&v1alpha1.User{}, lowPriority(func(ctx context.Context, obj client.Object) []reconcile.Request {
			return r.ofUsers(ctx, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(obj)})
		}), builder.WithPredicates(predicate.GenerationChangedPredicate{}, notInitial)).
		WatchesRawSource(secretsOf(passwords, func(ctx context.Context, name string) []reconcile.Request {
			return r.ofUsers(ctx, usersBy(ctx, r.Client, IndexPassword, name)...)
		})).
		Watches(&v1alpha1.Client{}, handler.Funcs{UpdateFunc: r.lowered}).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).
		Complete(reconcile.AsReconciler(r.Client, r))
}

// ofUsers returns requests for the records of the logins of users.
func (r *Logins) ofUsers(ctx context.Context, users ...reconcile.Request) []reconcile.Request {
	var requests []reconcile.Request
	for _, u := range users {
		rs, err := recordsOfUser(ctx, r.Client, r.Records.Namespace(), u.Name)
		if err != nil {
			return nil // the cache is stopping
		}
		for _, rec := range rs {
			requests = append(requests, r.request(rec.Name()))
		}
	}
	return requests
}

// lowered enqueues the logins at a client that allows fewer from now on.
func (r *Logins) lowered(ctx context.Context, e event.UpdateEvent, q queue) {
	before, ok1 := e.ObjectOld.(*v1alpha1.Client)
	now, ok2 := e.ObjectNew.(*v1alpha1.Client)
	if !ok1 || !ok2 || loginsOf(now).MaxSessions >= loginsOf(before).MaxSessions {
		return
	}
	var list v1alpha1.TokenRecordList
	err := r.Client.List(ctx, &list, client.InNamespace(r.Records.Namespace()), client.UnsafeDisableDeepCopy, client.DisableReadYourWritesConsistency)
	if err != nil {
		return // the cache is stopping
	}
	for i := range list.Items {
		if s := &list.Items[i].Spec; s.Owner.Kind == login.OwnerKind && s.Client == now.Name {
			add(q, priorityRoutine, r.request(list.Items[i].Name))
		}
	}
}

func (r *Logins) request(name string) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Namespace: r.Records.Namespace(), Name: name}}
}

// ofLogins accepts only the records of users' logins.
var ofLogins = predicate.NewPredicateFuncs(func(obj client.Object) bool {
	return obj.(*v1alpha1.TokenRecord).Spec.Owner.Kind == login.OwnerKind
})

// usersBy returns requests for the Users that an index finds.
func usersBy(ctx context.Context, from client.Reader, index, value string) []reconcile.Request {
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

// secretsOf enqueues the requests that a Secret leads to when it is created, changed or deleted,
// behind everything else. Secrets of the initial list are left out: their objects are reconciled
// then in any case.
func secretsOf(passwords cache.Cache, to func(ctx context.Context, name string) []reconcile.Request) source.Source {
	enqueue := func(ctx context.Context, q queue, s *corev1.Secret) { add(q, priorityRoutine, to(ctx, s.Name)...) }
	return source.Kind(passwords, &corev1.Secret{}, handler.TypedFuncs[*corev1.Secret, reconcile.Request]{
		CreateFunc: func(ctx context.Context, e event.TypedCreateEvent[*corev1.Secret], q queue) {
			if !e.IsInInitialList {
				enqueue(ctx, q, e.Object)
			}
		},
		UpdateFunc: func(ctx context.Context, e event.TypedUpdateEvent[*corev1.Secret], q queue) {
			if e.ObjectOld.ResourceVersion != e.ObjectNew.ResourceVersion { // otherwise it is a resync
				enqueue(ctx, q, e.ObjectNew)
			}
		},
		DeleteFunc: func(ctx context.Context, e event.TypedDeleteEvent[*corev1.Secret], q queue) {
			enqueue(ctx, q, e.Object)
		},
	})
}
