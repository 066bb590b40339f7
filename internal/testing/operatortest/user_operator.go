package operatortest

import (
	"errors"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/controllers/session"
	userctrl "github.com/apptoken/operator/controllers/user"
	"github.com/apptoken/operator/internal/record/kube"
)

// UserOperator runs the reconcilers of users and logins.
type UserOperator struct {
	w      *Fixture
	c      client.Client
	Users  *userctrl.Reconciler
	Logins *session.Reconciler
	events *events.FakeRecorder
}

// NewUserOperator returns another process of the operator. It reads and writes through c with the
// indexes of a cache, and confirms through live.
func (w *Fixture) NewUserOperator(c client.WithWatch, live client.Reader) *UserOperator {
	cached := ByIndexes(w.T, c)
	store := kube.New(cached, live, w.OwnNamespace)
	now := func() time.Time { return w.Now }
	recorder := events.NewFakeRecorder(1 << 10)
	return &UserOperator{
		w: w, c: cached, events: recorder,
		Users:  &userctrl.Reconciler{Client: cached, Live: live, Passwords: cached, Records: store, Now: now, Events: recorder},
		Logins: &session.Reconciler{Client: cached, Live: live, Passwords: cached, Records: store, Now: now, Limiter: w.Limiter},
	}
}

// AddAlice creates a user who can log in, and returns an operator that has settled.
func (w *Fixture) AddAlice() *UserOperator {
	w.T.Helper()
	w.SetPassword("alice", "passwordHash", MarkedHash)
	w.CreateUserWithPassword("alice", nil)
	f := w.Faults(0, FaultMode{})
	o := w.NewUserOperator(f.Wrap(w.api), f.Wrap(w.api))
	w.Must(o.Settle())
	return o
}

// Pass runs each reconciler once on all objects of this fixture.
func (o *UserOperator) Pass() error {
	var users v1alpha1.UserList
	if err := o.c.List(o.w.Ctx, &users); err != nil {
		return err
	}
	for i := range users.Items {
		if !strings.HasSuffix(users.Items[i].Name, strings.TrimPrefix(o.w.Namespace, "shop")) {
			continue
		}
		if _, err := o.Users.Reconcile(o.w.Ctx, &users.Items[i]); err != nil {
			return err
		}
		if _, err := o.Logins.EnforceLimits(o.w.Ctx, &users.Items[i]); err != nil {
			return err
		}
	}
	var records v1alpha1.TokenRecordList
	if err := o.c.List(o.w.Ctx, &records, client.InNamespace(o.w.OwnNamespace)); err != nil {
		return err
	}
	for i := range records.Items {
		if _, err := o.Logins.Reconcile(o.w.Ctx, &records.Items[i]); err != nil {
			return err
		}
	}
	return nil
}

// Settle runs passes until one succeeds and writes nothing. Faults counts the writes.
func (o *UserOperator) Settle() error {
	for range 40 {
		before := o.w.Writes.Load()
		err := o.Pass()
		if errors.Is(err, ErrCrash) || err == nil && o.w.Writes.Load() == before {
			return err
		}
	}
	return errors.New("40 passes did not settle the users")
}

// ReconcileRecord reconciles a record once, and returns when to reconcile it again.
func (o *UserOperator) ReconcileRecord(name string) time.Duration {
	o.w.T.Helper()
	var obj v1alpha1.TokenRecord
	o.w.Must(o.c.Get(o.w.Ctx, types.NamespacedName{Namespace: o.w.OwnNamespace, Name: name}, &obj))
	result, err := o.Logins.Reconcile(o.w.Ctx, &obj)
	o.w.Must(err)
	return result.RequeueAfter
}

// EventReasons returns the types and reasons of the events so far.
func (o *UserOperator) EventReasons() []string {
	var reasons []string
	for {
		select {
		case e := <-o.events.Events:
			reasons = append(reasons, strings.Join(strings.Fields(e)[:2], " "))
		default:
			return reasons
		}
	}
}
