package applicationtoken_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/controllers/index"
	"github.com/apptoken/operator/controllers/session"
	userctrl "github.com/apptoken/operator/controllers/user"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/record/kube"
	"github.com/apptoken/operator/internal/token"
)

// runningOperator is an operator whose work only watches enqueue, as in a cluster.
type runningOperator struct {
	w        *fixture
	ahead    atomic.Int64 // of the real clock
	requests atomic.Int64 // past the cache
	statuses atomic.Int64 // those of them that update the status of a user
}

func (o *runningOperator) now() time.Time { return time.Now().Add(time.Duration(o.ahead.Load())) }

// runOperator starts an operator with the caches that it has in a cluster.
func (w *fixture) runOperator() *runningOperator {
	w.t.Helper()
	o := &runningOperator{w: w}
	own := map[string]cache.Config{w.ownNamespace: {}}
	mgr, err := ctrl.NewManager(admin, ctrl.Options{
		Scheme: api.Scheme(), Metrics: metricsserver.Options{BindAddress: "0"}, Controller: config.Controller{SkipNameValidation: new(true)},
		Cache: cache.Options{ByObject: map[client.Object]cache.ByObject{
			&v1alpha1.TokenRecord{}: {Namespaces: own},
			&v1alpha1.User{}:        {Label: labels.SelectorFromSet(labels.Set{"world": w.namespace})}, // other fixtures run beside it
		}},
	})
	w.must(err)
	w.must(index.AddTo(w.ctx, mgr.GetFieldIndexer()))
	passwords, err := cache.New(admin, cache.Options{Scheme: api.Scheme(), ByObject: map[client.Object]cache.ByObject{&corev1.Secret{}: {Namespaces: own}}})
	w.must(err)
	w.must(mgr.Add(passwords))
	live := interceptor.NewClient(api, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
			o.requests.Add(1)
			return c.Get(ctx, key, obj, opts...)
		},
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			o.requests.Add(1)
			return c.List(ctx, list, opts...)
		},
	})
	store := kube.New(counted{mgr.GetClient(), o}, live, w.ownNamespace)
	users := &userctrl.Reconciler{
		Client: counted{mgr.GetClient(), o}, Live: live, Passwords: passwords, Records: store, Now: o.now, Events: events.NewFakeRecorder(1 << 10),
	}
	logins := &session.Reconciler{Client: counted{mgr.GetClient(), o}, Live: live, Passwords: passwords, Records: store, Now: o.now, Limiter: w.limiter}
	w.must(users.SetupWithManager(mgr, passwords))
	w.must(logins.SetupWithManager(mgr, passwords, 2))
	ctx, stop := context.WithCancel(w.ctx)
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	w.t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	})
	return o
}

// counted is a client that counts its writes.
type counted struct {
	client.Client
	o *runningOperator
}

func (c counted) Patch(ctx context.Context, obj client.Object, p client.Patch, opts ...client.PatchOption) error {
	c.o.requests.Add(1)
	return c.Client.Patch(ctx, obj, p, opts...)
}

func (c counted) Delete(ctx context.Context, obj client.Object, opts ...client.DeleteOption) error {
	c.o.requests.Add(1)
	return c.Client.Delete(ctx, obj, opts...)
}

func (c counted) Status() client.SubResourceWriter {
	return countingStatusWriter{c.Client.Status(), c.o}
}

type countingStatusWriter struct {
	client.SubResourceWriter
	o *runningOperator
}

func (c countingStatusWriter) Update(ctx context.Context, obj client.Object, opts ...client.SubResourceUpdateOption) error {
	c.o.requests.Add(1)
	c.o.statuses.Add(1)
	return c.SubResourceWriter.Update(ctx, obj, opts...)
}

// eventually waits until something holds.
func (o *runningOperator) eventually(what string, holds func() bool) {
	o.w.t.Helper()
	err := wait.PollUntilContextTimeout(o.w.t.Context(), 20*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) {
		return holds(), nil
	})
	if err != nil {
		o.w.t.Fatal(what)
	}
}

func (o *runningOperator) expectConditions(name, want string) {
	o.w.t.Helper()
	o.eventually(fmt.Sprintf("%s does not become %s", name, want), func() bool { return strings.HasPrefix(conditionsOf(o.w.getUser(name)), want) })
}

func TestUser_DependenciesEnqueueReconcilers(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	o := w.runOperator()
	second := "second-" + w.clientName
	twoAccounts := func(u *v1alpha1.User) {
		u.Spec.Username = "shared" + w.namespace
		u.Spec.Accounts = []v1alpha1.Account{{Client: w.clientName}, {Client: second}}
	}
	w.createUserWithPassword("alice", twoAccounts)
	o.expectConditions("alice", "-PasswordMissing -PasswordMissing -AccountMissing")
	w.setPassword("alice", "passwordHash", markedHash)
	o.expectConditions("alice", "+Active +PasswordFound -AccountMissing")
	w.must(api.Create(w.ctx, &v1alpha1.Client{ObjectMeta: metav1.ObjectMeta{Name: second}}))
	o.expectConditions("alice", "+Active +PasswordFound +AccountsResolved")
	w.setPassword("bob", "passwordHash", markedHash)
	w.createUserWithPassword("bob", twoAccounts)
	o.expectConditions("bob", "-UsernameTaken")
	w.editUser("alice", func(u *v1alpha1.User) { u.Spec.Username = "" })
	o.expectConditions("bob", "+Active")

	s := w.newLoginService(nil)
	before := o.statuses.Load()
	for range 12 {
		w.logIn(s, "alice", login.Terms{Kind: token.Open, Lifetime: 24 * time.Hour})
	}
	o.eventually("the logins are not counted", func() bool { return w.getUser("alice").Status.Sessions == 12 })
	if n := o.statuses.Load() - before; n > 2 {
		t.Errorf("%d writes of statuses for 12 logins", n)
	}
	o.ahead.Store(int64(2 * login.CollectDelay))
	w.mustEditClient(func(c *v1alpha1.Client) { c.Spec.Logins.MaxSessionsPerUser = new(int32(5)) })
	o.eventually("a lower cap is not kept", func() bool { return w.recordsLeft() == 5 })
	o.eventually("the logins are not counted again", func() bool { return w.getUser("alice").Status.Sessions == 5 })

	asked := o.requests.Load()
	if err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 2*time.Second, true, func(context.Context) (bool, error) {
		return o.requests.Load() != asked, nil
	}); err == nil {
		t.Errorf("%d requests while nothing happens", o.requests.Load()-asked)
	}

	w.setPassword("alice", "passwordHash", otherHash)
	o.eventually("logins of another password stay", func() bool { return w.recordsLeft() == 0 })
	late := w.newLoginService(nil)
	w.logIn(late, "alice", login.Terms{Kind: token.Login})
	w.must(api.Delete(w.ctx, w.getUser("alice")))
	o.eventually("the user does not go", func() bool {
		err := api.Get(w.ctx, client.ObjectKey{Name: w.uniqueUserName("alice")}, &v1alpha1.User{})
		return apierrors.IsNotFound(err) && w.recordsLeft() == 0
	})
	w.logIn(late, "alice", login.Terms{Kind: token.Login})
	o.eventually("a login without a user stays", func() bool { return w.recordsLeft() == 0 })

	w.logIn(late, "bob", login.Terms{Kind: token.Login})
	w.must(api.Delete(w.ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.ownNamespace, Name: "bob"}}))
	o.expectConditions("bob", "-PasswordMissing")
	o.eventually("logins without a password stay", func() bool { return w.recordsLeft() == 0 })
}
