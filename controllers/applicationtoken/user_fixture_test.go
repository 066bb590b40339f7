package applicationtoken_test

import (
	"context"
	"crypto/rand"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/controllers/index"
	"github.com/apptoken/operator/controllers/session"
	userctrl "github.com/apptoken/operator/controllers/user"
	"github.com/apptoken/operator/internal/directory"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/record/kube"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
)

// Hashes of passwords. The marks are in the salts, and must not appear anywhere.
const (
	markedHash         = "$argon2id$v=19$m=19456,t=2,p=1$TUFSS0VETUFSS0VE$/BGV42mgj0ReTsdBvS1WrSK7eTCwppmX6dkuvJIwrds"
	otherHash          = "$argon2id$v=19$m=19456,t=2,p=1$T1RIRVJPVEhFUk9U$/BGV42mgj0ReTsdBvS1WrSK7eTCwppmX6dkuvJIwrds"
	unreadablePassword = "$argon2id$v=19$m=19456,t=99,p=1$TUFSS0VETUFSS0VE$/BGV42mgj0ReTsdBvS1WrSK7eTCwppmX6dkuvJIwrds"
	markedPlain        = "MARKEDpassword"
	usernameDomain     = "@example.com"
)

// fieldIndexes holds the indexes of the cache, for a client without any.
type fieldIndexes map[reflect.Type]map[string]client.IndexerFunc

func (x fieldIndexes) IndexField(_ context.Context, obj client.Object, field string, by client.IndexerFunc) error {
	kind := reflect.TypeOf(obj)
	if x[kind] == nil {
		x[kind] = map[string]client.IndexerFunc{}
	}
	x[kind][field] = by
	return nil
}

// byIndexes returns a client that lists by the indexes of the operator's cache, which the API
// server cannot do.
func byIndexes(t *testing.T, c client.WithWatch) client.WithWatch {
	t.Helper()
	x := fieldIndexes{}
	if err := index.IndexFields(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	return interceptor.NewClient(c, interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, o ...client.ListOption) error {
			var options client.ListOptions
			options.ApplyOptions(o)
			if options.FieldSelector == nil {
				return c.List(ctx, list, o...)
			}
			if err := c.List(ctx, list, client.InNamespace(options.Namespace)); err != nil {
				return err
			}
			items, err := meta.ExtractList(list)
			if err != nil {
				return err
			}
			var found []runtime.Object
			for _, item := range items {
				fits := true
				for _, wanted := range options.FieldSelector.Requirements() {
					by := x[reflect.TypeOf(item)][wanted.Field]
					if by == nil {
						return errors.New("the cache has no index " + wanted.Field)
					}
					has := false
					for _, value := range by(item.(client.Object)) {
						has = has || value == wanted.Value
					}
					fits = fits && has
				}
				if fits {
					found = append(found, item)
				}
			}
			return meta.SetList(list, found)
		},
	})
}

// uniqueUserName returns the name of a user of this fixture.
func (w *fixture) uniqueUserName(name string) string {
	return strings.Replace(w.namespace, "shop", name, 1)
}

// createUserWithPassword declares a user with an account at the fixture's client, and a password in
// the Secret of the same name.
func (w *fixture) createUserWithPassword(name string, twist func(*v1alpha1.User)) *v1alpha1.User {
	w.t.Helper()
	u := &v1alpha1.User{
		ObjectMeta: metav1.ObjectMeta{Name: w.uniqueUserName(name), Labels: map[string]string{"world": w.namespace}},
		Spec: v1alpha1.UserSpec{
			State:             v1alpha1.StateActive,
			PasswordSecretRef: &v1alpha1.Reference{Name: v1alpha1.ObjectName(name)},
			Accounts:          []v1alpha1.Account{{Client: w.clientName, Roles: []v1alpha1.RoleName{"second", "none"}}},
		},
	}
	if twist != nil {
		twist(u)
	}
	w.must(api.Create(w.ctx, u))
	return u
}

// setPassword writes the Secret of a password.
func (w *fixture) setPassword(name, key, value string) {
	w.t.Helper()
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.ownNamespace, Name: name}, Data: map[string][]byte{key: []byte(value)}}
	err := api.Create(w.ctx, s)
	if apierrors.IsAlreadyExists(err) {
		err = api.Update(w.ctx, s)
	}
	w.must(err)
}

func (w *fixture) getUser(name string) *v1alpha1.User {
	w.t.Helper()
	var u v1alpha1.User
	w.must(api.Get(w.ctx, types.NamespacedName{Name: w.uniqueUserName(name)}, &u))
	return &u
}

func (w *fixture) editUser(name string, change func(*v1alpha1.User)) {
	w.t.Helper()
	for {
		u := w.getUser(name)
		change(u)
		if err := api.Update(w.ctx, u); !apierrors.IsConflict(err) { // with a status update at the same time
			w.must(err)
			return
		}
	}
}

func (w *fixture) mustEditClient(change func(*v1alpha1.Client)) {
	w.t.Helper()
	var c v1alpha1.Client
	w.must(api.Get(w.ctx, types.NamespacedName{Name: w.clientName}, &c))
	change(&c)
	w.must(api.Update(w.ctx, &c))
}

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
		logins: &session.Reconciler{Client: cached, Live: live, Passwords: cached, Records: store, Now: now, Limiter: w.pace},
	}
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

// newLoginService returns another process of the operator that accepts logins. It has the state of
// when it starts.
func (w *fixture) newLoginService(twist func(*login.Options)) *login.Service {
	w.t.Helper()
	index, known := &verify.Index{}, &login.Directory{}
	people := &directory.UserSync{Index: index, Directory: known}
	var users v1alpha1.UserList
	var secrets corev1.SecretList
	var clients v1alpha1.ClientList
	w.must(errors.Join(api.List(w.ctx, &users), api.List(w.ctx, &clients), api.List(w.ctx, &secrets, client.InNamespace(w.ownNamespace))))
	for i := range clients.Items {
		directory.NewClientHandler(index, known).OnAdd(&clients.Items[i], true)
	}
	for i := range secrets.Items {
		people.PasswordHandler().OnAdd(&secrets.Items[i], true)
	}
	for i := range users.Items {
		people.UserHandler().OnAdd(&users.Items[i], true)
	}
	c := byIndexes(w.t, api)
	options := login.Options{
		Directory: known, Records: kube.New(c, c, w.ownNamespace),
		OnEnded: func(token.Digest) {}, OnReplayed: func(login.User, record.Record, netip.Addr) {},
		MaxConcurrentChecks: 1, Entropy: rand.Reader, Now: func() time.Time { return w.now },
	}
	if twist != nil {
		twist(&options)
	}
	return login.NewService(options)
}

// logIn opens a login of a user at the client of this fixture.
func (w *fixture) logIn(s *login.Service, name string, t login.Terms) login.Opened {
	w.t.Helper()
	u, ok := s.Directory.User(w.uniqueUserName(name))
	c, there := s.Directory.Client(w.clientName)
	if !ok || !there {
		w.t.Fatalf("the replica knows the user: %t, the client: %t", ok, there)
	}
	o, err := s.Open(w.ctx, u, c, t)
	w.must(err)
	return o
}

func (w *fixture) hasRecord(name string) bool {
	w.t.Helper()
	err := api.Get(w.ctx, types.NamespacedName{Namespace: w.ownNamespace, Name: name}, &v1alpha1.TokenRecord{})
	w.must(client.IgnoreNotFound(err))
	return err == nil
}

// conditionsOf returns the reasons of the conditions of a user, Ready first.
func conditionsOf(u *v1alpha1.User) string {
	var out []string
	for _, kind := range []string{v1alpha1.ConditionReady, v1alpha1.ConditionPasswordFound, v1alpha1.ConditionAccountsResolved} {
		c := meta.FindStatusCondition(u.Status.Conditions, kind)
		if c == nil {
			out = append(out, "none")
			continue
		}
		sign := map[metav1.ConditionStatus]string{metav1.ConditionTrue: "+", metav1.ConditionFalse: "-"}[c.Status]
		out = append(out, sign+c.Reason)
	}
	return strings.Join(out, " ")
}
