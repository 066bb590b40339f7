package applicationtoken_test

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

// userOperator runs the reconcilers of users and logins.
type userOperator struct {
	w      *fixture
	c      client.Client
	users  *userctrl.Reconciler
	logins *session.Reconciler
	events *events.FakeRecorder
}

func (w *fixture) newUserOperator(c client.WithWatch, live client.Reader) *userOperator {
	cached := byIndexes(w.t, c)
	store := kube.New(cached, live, w.ownNamespace)
	now := func() time.Time { return w.now }
	recorder := events.NewFakeRecorder(1 << 10)
	return &userOperator{
		w: w, c: cached, events: recorder,
		users:  &userctrl.Reconciler{Client: cached, Live: live, Passwords: cached, Records: store, Now: now, Events: recorder},
		logins: &session.Reconciler{Client: cached, Live: live, Passwords: cached, Records: store, Now: now, Limiter: w.limiter},
	}
}

// addAlice creates a user who can log in, and returns an operator that has settled.
func (w *fixture) addAlice() *userOperator {
	w.t.Helper()
	w.setPassword("alice", "passwordHash", markedHash)
	w.createUserWithPassword("alice", nil)
	f := w.faults(0, faultMode{})
	o := w.newUserOperator(f.wrap(api), f.wrap(api))
	w.must(o.settle())
	return o
}

// pass runs each reconciler once on all objects of this fixture.
func (o *userOperator) pass() error {
	var users v1alpha1.UserList
	if err := o.c.List(o.w.ctx, &users); err != nil {
		return err
	}
	for i := range users.Items {
		if !strings.HasSuffix(users.Items[i].Name, strings.TrimPrefix(o.w.namespace, "shop")) {
			continue
		}
		if _, err := o.users.Reconcile(o.w.ctx, &users.Items[i]); err != nil {
			return err
		}
	}
	var records v1alpha1.TokenRecordList
	if err := o.c.List(o.w.ctx, &records, client.InNamespace(o.w.ownNamespace)); err != nil {
		return err
	}
	for i := range records.Items {
		if _, err := o.logins.Reconcile(o.w.ctx, &records.Items[i]); err != nil {
			return err
		}
	}
	return nil
}

// settle runs passes until one succeeds and writes nothing. faults counts the writes.
func (o *userOperator) settle() error {
	for range 40 {
		before := o.w.writes.Load()
		err := o.pass()
		if errors.Is(err, errCrash) || err == nil && o.w.writes.Load() == before {
			return err
		}
	}
	return errors.New("40 passes did not settle the users")
}

// reconcileRecord reconciles a record once, and returns when to reconcile it again.
func (o *userOperator) reconcileRecord(name string) time.Duration {
	o.w.t.Helper()
	var obj v1alpha1.TokenRecord
	o.w.must(o.c.Get(o.w.ctx, types.NamespacedName{Namespace: o.w.ownNamespace, Name: name}, &obj))
	result, err := o.logins.Reconcile(o.w.ctx, &obj)
	o.w.must(err)
	return result.RequeueAfter
}

// eventReasons returns the types and reasons of the events so far.
func (o *userOperator) eventReasons() []string {
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
