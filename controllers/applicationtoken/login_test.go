package applicationtoken_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

// newFixtureWithAlice returns a fixture in which alice can log in.
func newFixtureWithAlice(t *testing.T) (*fixture, *userOperator) {
	t.Helper()
	w := newFixture(t)
	return w, w.addAlice()
}

func TestLogin_RecordDeletedOneMinuteAfterExpiry(t *testing.T) {
	w, o := newFixtureWithAlice(t)
	s := w.newLoginService(nil)
	for name, x := range map[string]struct {
		terms login.Terms
		end   time.Duration
	}{
		"a login":                       {login.Terms{Kind: token.Login}, time.Hour},
		"an open token":                 {login.Terms{Kind: token.Open, Lifetime: 10 * time.Minute}, 10 * time.Minute},
		"a session that lies idle":      {login.Terms{Kind: token.Session, Source: netip.MustParseAddr("192.0.2.1")}, 30 * time.Minute},
		"a login that can be refreshed": {login.Terms{Kind: token.Login, Refreshable: true}, 720 * time.Hour},
	} {
		start := w.now
		rec := w.logIn(s, "alice", x.terms).Record.Name()
		w.now = start.Add(x.end + login.CollectDelay - time.Second)
		if again := o.reconcileRecord(rec); !w.hasRecord(rec) || again != time.Second {
			t.Errorf("%s: a second early it is there: %t, and looked at again after %s", name, w.hasRecord(rec), again)
		}
		w.now = w.now.Add(time.Second)
		if o.reconcileRecord(rec); w.hasRecord(rec) {
			t.Errorf("%s: at the instant it is still there", name)
		}
		w.now = start
	}
}

func TestSession_UsedOnAnotherReplicaIsKept(t *testing.T) {
	w, _ := newFixtureWithAlice(t)
	rec := w.logIn(w.newLoginService(nil), "alice", login.Terms{Kind: token.Session, Source: netip.MustParseAddr("192.0.2.1")}).Record
	w.now = w.now.Add(29 * time.Minute)
	// The replica that collects garbage has the state before another replica recorded the use.
	stale := w.frozenCache(api)
	w.must(w.store().Use(w.ctx, rec.Name(), w.now, "192.0.2.1"))
	w.now = w.now.Add(2 * time.Minute)
	if again := w.newUserOperator(stale, api).reconcileRecord(rec.Name()); !w.hasRecord(rec.Name()) || again != 29*time.Minute {
		t.Errorf("it is there: %t, and looked at again after %s", w.hasRecord(rec.Name()), again)
	}
}

// The session is used between the last check of it and its deletion.
func TestSession_UsedBeforeDeletionIsKept(t *testing.T) {
	w, _ := newFixtureWithAlice(t)
	rec := w.logIn(w.newLoginService(nil), "alice", login.Terms{Kind: token.Session, Source: netip.MustParseAddr("192.0.2.1")}).Record
	w.now = w.now.Add(31 * time.Minute)
	c := interceptor.NewClient(api, interceptor.Funcs{
		Delete: func(ctx context.Context, c client.WithWatch, obj client.Object, o ...client.DeleteOption) error {
			w.must(w.store().Use(w.ctx, rec.Name(), w.now, "192.0.2.1"))
			return c.Delete(ctx, obj, o...)
		},
	})
	if err := w.newUserOperator(c, api).pass(); !errors.Is(err, record.ErrStale) || !w.hasRecord(rec.Name()) {
		t.Errorf("the pass ends with %v, and the session is there: %t", err, w.hasRecord(rec.Name()))
	}
}

func TestLogin_EndsWithUserPasswordOrAccount(t *testing.T) {
	for name, c := range map[string]struct {
		happens func(*fixture)
		want    bool // it is still there
	}{
		"they stay while nothing happens": {func(*fixture) {}, true},
		"they stay while the user is suspended": {func(w *fixture) {
			w.editUser("alice", func(u *v1alpha1.User) { u.Spec.State = v1alpha1.StateSuspended })
		}, true},
		"they stay while the client is suspended": {func(w *fixture) {
			w.mustEditClient(func(c *v1alpha1.Client) { c.Spec.State = v1alpha1.StateSuspended })
		}, true},
		"they stay where a role is taken away": {func(w *fixture) {
			w.editUser("alice", func(u *v1alpha1.User) { u.Spec.Accounts[0].Roles = nil })
		}, true},
		"another password ends them": {func(w *fixture) { w.setPassword("alice", "passwordHash", otherHash) }, false},
		"the Secret goes": {func(w *fixture) {
			w.must(api.Delete(w.ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.ownNamespace, Name: "alice"}}))
		}, false},
		"a hash that cannot be read ends them": {func(w *fixture) { w.setPassword("alice", "passwordHash", unreadablePassword) }, false},
		"another Secret is named": {func(w *fixture) {
			w.setPassword("second", "passwordHash", otherHash)
			w.editUser("alice", func(u *v1alpha1.User) { u.Spec.PasswordSecretRef.Name = "second" })
		}, false},
		"the account is taken away": {func(w *fixture) {
			w.editUser("alice", func(u *v1alpha1.User) { u.Spec.Accounts = nil })
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, o := newFixtureWithAlice(t)
			rec := w.logIn(w.newLoginService(nil), "alice", login.Terms{Kind: token.Login}).Record.Name()
			w.must(o.settle())
			stale := w.frozenCache(api)
			c.happens(w)
			w.must(w.newUserOperator(stale, api).settle()) // a replica that receives no events does nothing wrong
			w.must(o.settle())
			if got := w.hasRecord(rec); got != c.want {
				t.Fatalf("the login is there: %t", got)
			}
			if c.want {
				return
			}
			w.setPassword("alice", "passwordHash", markedHash)
			w.must(o.settle())
			if w.hasRecord(rec) {
				t.Error("with the old password the login is back")
			}
		})
	}
}

// A login that follows a change comes from a replica that has observed the change. A replica that
// has not observed it deletes nothing for it.
func TestLogin_StaleReplicaDeletesNothing(t *testing.T) {
	for name, c := range map[string]struct{ before, happens func(*fixture) }{
		"a new password": {func(*fixture) {}, func(w *fixture) { w.setPassword("alice", "passwordHash", otherHash) }},
		"a new account": {
			func(w *fixture) { w.editUser("alice", func(u *v1alpha1.User) { u.Spec.Accounts = nil }) },
			func(w *fixture) {
				w.editUser("alice", func(u *v1alpha1.User) { u.Spec.Accounts = []v1alpha1.Account{{Client: w.clientName}} })
			},
		},
		"a new user": {
			func(w *fixture) {
				w.must(api.Delete(w.ctx, w.getUser("alice")))
				w.must(w.newUserOperator(api, api).pass())
			},
			func(w *fixture) { w.createUserWithPassword("alice", nil) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _ := newFixtureWithAlice(t)
			c.before(w)
			stale := w.frozenCache(api)
			c.happens(w)
			rec := w.logIn(w.newLoginService(nil), "alice", login.Terms{Kind: token.Login}).Record.Name()
			var obj v1alpha1.TokenRecord
			w.must(api.Get(w.ctx, types.NamespacedName{Namespace: w.ownNamespace, Name: rec}, &obj))
			_, err := w.newUserOperator(stale, api).logins.Reconcile(w.ctx, &obj)
			w.must(err)
			if !w.hasRecord(rec) {
				t.Error("it was swept")
			}
		})
	}
}

func TestLogin_NewUserOfSameNameInheritsNothing(t *testing.T) {
	w, o := newFixtureWithAlice(t)
	s := w.newLoginService(nil)
	w.must(api.Delete(w.ctx, w.getUser("alice")))
	// The replica has not observed the deletion yet, and logs her in once more after the last pass
	// of the others.
	_, err := o.users.Reconcile(w.ctx, w.getUser("alice"))
	w.must(err)
	rec := w.logIn(s, "alice", login.Terms{Kind: token.Login}).Record.Name()
	w.createUserWithPassword("alice", nil)
	own := w.logIn(w.newLoginService(nil), "alice", login.Terms{Kind: token.Login}).Record.Name()
	if _, err := o.users.Reconcile(w.ctx, w.getUser("alice")); err != nil || w.getUser("alice").Status.Sessions != 1 {
		t.Errorf("the namesake has %d logins: %v", w.getUser("alice").Status.Sessions, err)
	}
	w.must(o.settle())
	if w.hasRecord(rec) || !w.hasRecord(own) {
		t.Errorf("the login of the user before is there: %t, that of the namesake: %t", w.hasRecord(rec), w.hasRecord(own))
	}
}

func TestGarbageCollection_OfLoginsFinishesDespiteFaults(t *testing.T) {
	for _, m := range faultModes {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			stride := 1
			if m.reads {
				stride = 7 // most calls are reads, and alike
			}
			for at, hit := 1, true; hit; at += stride {
				w, _ := newFixtureWithAlice(t)
				s := w.newLoginService(nil)
				ended := w.logIn(s, "alice", login.Terms{Kind: token.Open, Lifetime: time.Minute}).Record.Name()
				for range 2 {
					w.logIn(s, "alice", login.Terms{Kind: token.Login})
				}
				w.mustEditClient(func(c *v1alpha1.Client) { c.Spec.Logins.MaxSessionsPerUser = new(int32(1)) })
				w.now = w.now.Add(3 * login.CollectDelay)
				f := w.faults(at, m)
				err := errCrash
				for restarts := 0; errors.Is(err, errCrash) && restarts < 3; restarts++ {
					f.hasCrashed = false
					c := f.wrap(api)
					err = w.newUserOperator(c, c).settle()
				}
				if n := w.recordsLeft(); err != nil || f.verdict != nil || n != 1 || w.hasRecord(ended) {
					t.Fatalf("at call %d: %d records are left, the one at its end is there: %t; %v", at, n, w.hasRecord(ended), errors.Join(err, f.verdict))
				}
				hit = f.hits > 0
			}
		})
	}
}
