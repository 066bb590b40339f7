package user_test

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
	"github.com/apptoken/operator/internal/testing/operatortest"
	"github.com/apptoken/operator/internal/token"
)

// runningOperator is an operator whose work only watches enqueue, as in a cluster.
type runningOperator struct {
	w        *fixture
	requests atomic.Int64 // past the cache
	statuses atomic.Int64 // those of them that update the status of a user
}

// runOperator starts an operator with the caches that it has in a cluster.
func (w *fixture) runOperator() *runningOperator {
	w.T.Helper()
	o := &runningOperator{w: w}
	own := map[string]cache.Config{w.OwnNamespace: {}}
	mgr, err := ctrl.NewManager(admin, ctrl.Options{
		Scheme: api.Scheme(), Metrics: metricsserver.Options{BindAddress: "0"}, Controller: config.Controller{SkipNameValidation: new(true)},
		Cache: cache.Options{ByObject: map[client.Object]cache.ByObject{
			&v1alpha1.TokenRecord{}: {Namespaces: own},
			&v1alpha1.User{}:        {Label: labels.SelectorFromSet(labels.Set{"fixture": w.Namespace})}, // other fixtures run beside it
		}},
	})
	w.Must(err)
	w.Must(index.AddTo(w.Ctx, mgr.GetFieldIndexer()))
	passwords, err := cache.New(admin, cache.Options{Scheme: api.Scheme(), ByObject: map[client.Object]cache.ByObject{&corev1.Secret{}: {Namespaces: own}}})
	w.Must(err)
	w.Must(mgr.Add(passwords))
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
	store := kube.New(counted{mgr.GetClient(), o}, live, w.OwnNamespace)
	users := &userctrl.Reconciler{
		Client: counted{mgr.GetClient(), o}, Live: live, Passwords: passwords, Records: store, Now: time.Now, Events: events.NewFakeRecorder(1 << 10),
	}
	logins := &session.Reconciler{Client: counted{mgr.GetClient(), o}, Live: live, Passwords: passwords, Records: store, Now: time.Now, Limiter: w.Limiter}
	w.Must(users.SetupWithManager(mgr, passwords))
	w.Must(logins.SetupWithManager(mgr, passwords, 2))
	ctx, stop := context.WithCancel(w.Ctx)
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	w.T.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			w.T.Error(err)
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
	o.w.T.Helper()
	err := wait.PollUntilContextTimeout(o.w.T.Context(), 20*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) {
		return holds(), nil
	})
	if err != nil {
		o.w.T.Fatal(what)
	}
}

func (o *runningOperator) expectConditions(name, want string) {
	o.w.T.Helper()
	o.eventually(fmt.Sprintf("%s does not become %s", name, want), func() bool { return strings.HasPrefix(conditionsOf(o.w.GetUser(name)), want) })
}

func TestUser_DependenciesEnqueueReconcilers(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	o := w.runOperator()
	second := "second-" + w.ClientName
	twoAccounts := func(u *v1alpha1.User) {
		u.Spec.Username = "shared" + w.Namespace
		u.Spec.Accounts = []v1alpha1.Account{{Client: w.ClientName}, {Client: second}}
	}
	w.CreateUserWithPassword("alice", twoAccounts)
	o.expectConditions("alice", "-PasswordMissing -PasswordMissing -AccountMissing")
	w.SetPassword("alice", "passwordHash", operatortest.MarkedHash)
	o.expectConditions("alice", "+Active +PasswordFound -AccountMissing")
	w.Must(api.Create(w.Ctx, &v1alpha1.Client{ObjectMeta: metav1.ObjectMeta{Name: second}}))
	o.expectConditions("alice", "+Active +PasswordFound +AccountsResolved")
	w.SetPassword("bob", "passwordHash", operatortest.MarkedHash)
	w.CreateUserWithPassword("bob", twoAccounts)
	o.expectConditions("bob", "-UsernameTaken")
	w.EditUser("alice", func(u *v1alpha1.User) { u.Spec.Username = "" })
	o.expectConditions("bob", "+Active")

	s := w.NewLoginService(nil)
	before := o.statuses.Load()
	for range 12 {
		w.LogIn(s, "alice", login.Terms{Kind: token.Open, Lifetime: 24 * time.Hour})
	}
	o.eventually("the logins are not counted", func() bool { return w.GetUser("alice").Status.Sessions == 12 })
	if n := o.statuses.Load() - before; n > 2 {
		t.Errorf("%d writes of statuses for 12 logins", n)
	}
	w.MustEditClient(func(c *v1alpha1.Client) { c.Spec.Logins.MaxOpenTokensPerUser = new(int32(5)) })
	o.eventually("a lower limit of the client is not kept", func() bool { return w.RecordsLeft() == 5 })
	w.EditUser("alice", func(u *v1alpha1.User) { u.Spec.Logins.MaxOpenTokens = new(int32(3)) })
	o.eventually("a lower limit of the user is not kept", func() bool { return w.RecordsLeft() == 3 })
	w.EditUser("alice", func(u *v1alpha1.User) { u.Spec.Logins.MaxOpenTokens = new(int32(100)) })
	o.eventually("the logins are not counted again", func() bool { return w.GetUser("alice").Status.Sessions == 3 })

	asked := o.requests.Load()
	if err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 2*time.Second, true, func(context.Context) (bool, error) {
		return o.requests.Load() != asked, nil
	}); err == nil {
		t.Errorf("%d requests while nothing happens", o.requests.Load()-asked)
	}

	w.SetPassword("alice", "passwordHash", operatortest.OtherHash)
	o.eventually("logins of another password stay", func() bool { return w.RecordsLeft() == 0 })
	late := w.NewLoginService(nil)
	w.LogIn(late, "alice", login.Terms{Kind: token.Login})
	w.Must(api.Delete(w.Ctx, w.GetUser("alice")))
	o.eventually("the user does not go", func() bool {
		err := api.Get(w.Ctx, client.ObjectKey{Name: w.UniqueUserName("alice")}, &v1alpha1.User{})
		return apierrors.IsNotFound(err) && w.RecordsLeft() == 0
	})
	w.LogIn(late, "alice", login.Terms{Kind: token.Login})
	o.eventually("a login without a user stays", func() bool { return w.RecordsLeft() == 0 })

	w.LogIn(late, "bob", login.Terms{Kind: token.Login})
	w.Must(api.Delete(w.Ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.OwnNamespace, Name: "bob"}}))
	o.expectConditions("bob", "-PasswordMissing")
	o.eventually("logins without a password stay", func() bool { return w.RecordsLeft() == 0 })
}
