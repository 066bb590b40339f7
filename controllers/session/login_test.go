package session_test

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
	"github.com/apptoken/operator/internal/testing/operatortest"
	"github.com/apptoken/operator/internal/token"
)

// newFixtureWithAlice returns a fixture in which alice can log in.
func newFixtureWithAlice(t *testing.T) (*fixture, *operatortest.UserOperator) {
	t.Helper()
	w := newFixture(t)
	return w, w.AddAlice()
}

func TestLogin_RecordDeletedOneMinuteAfterExpiry(t *testing.T) {
	w, o := newFixtureWithAlice(t)
	s := w.NewLoginService(nil)
	for name, x := range map[string]struct {
		terms login.Terms
		end   time.Duration
	}{
		"a login":                       {login.Terms{Kind: token.Login}, time.Hour},
		"an open token":                 {login.Terms{Kind: token.Open, Lifetime: 10 * time.Minute}, 10 * time.Minute},
		"a session that lies idle":      {login.Terms{Kind: token.Session, Source: netip.MustParseAddr("192.0.2.1")}, 30 * time.Minute},
		"a login that can be refreshed": {login.Terms{Kind: token.Login, Refreshable: true}, 720 * time.Hour},
	} {
		start := w.Now
		rec := w.LogIn(s, "alice", x.terms).Record.Name()
		w.Now = start.Add(x.end + login.CollectDelay - time.Second)
		if again := o.ReconcileRecord(rec); !w.HasRecord(rec) || again != time.Second {
			t.Errorf("%s: a second early it is there: %t, and looked at again after %s", name, w.HasRecord(rec), again)
		}
		w.Now = w.Now.Add(time.Second)
		if o.ReconcileRecord(rec); w.HasRecord(rec) {
			t.Errorf("%s: at the instant it is still there", name)
		}
		w.Now = start
	}
}

func TestSession_UsedOnAnotherReplicaIsKept(t *testing.T) {
	w, _ := newFixtureWithAlice(t)
	rec := w.LogIn(w.NewLoginService(nil), "alice", login.Terms{Kind: token.Session, Source: netip.MustParseAddr("192.0.2.1")}).Record
	w.Now = w.Now.Add(29 * time.Minute)
	// The replica that collects garbage has the state before another replica recorded the use.
	stale := w.frozenCache(api)
	w.Must(w.Store().Use(w.Ctx, rec.Name(), w.Now, "192.0.2.1"))
	w.Now = w.Now.Add(2 * time.Minute)
	if again := w.NewUserOperator(stale, api).ReconcileRecord(rec.Name()); !w.HasRecord(rec.Name()) || again != 29*time.Minute {
		t.Errorf("it is there: %t, and looked at again after %s", w.HasRecord(rec.Name()), again)
	}
}

// The session is used between the last check of it and its deletion.
func TestSession_UsedBeforeDeletionIsKept(t *testing.T) {
	w, _ := newFixtureWithAlice(t)
	rec := w.LogIn(w.NewLoginService(nil), "alice", login.Terms{Kind: token.Session, Source: netip.MustParseAddr("192.0.2.1")}).Record
	w.Now = w.Now.Add(31 * time.Minute)
	c := interceptor.NewClient(api, interceptor.Funcs{
		Delete: func(ctx context.Context, c client.WithWatch, obj client.Object, o ...client.DeleteOption) error {
			w.Must(w.Store().Use(w.Ctx, rec.Name(), w.Now, "192.0.2.1"))
			return c.Delete(ctx, obj, o...)
		},
	})
	if err := w.NewUserOperator(c, api).Pass(); !errors.Is(err, record.ErrStale) || !w.HasRecord(rec.Name()) {
		t.Errorf("the pass ends with %v, and the session is there: %t", err, w.HasRecord(rec.Name()))
	}
}

func TestLogin_EndsWithUserPasswordOrAccount(t *testing.T) {
	for name, c := range map[string]struct {
		happens func(*fixture)
		want    bool // it is still there
	}{
		"they stay while nothing happens": {func(*fixture) {}, true},
		"they stay while the user is suspended": {func(w *fixture) {
			w.EditUser("alice", func(u *v1alpha1.User) { u.Spec.State = v1alpha1.StateSuspended })
		}, true},
		"they stay while the client is suspended": {func(w *fixture) {
			w.MustEditClient(func(c *v1alpha1.Client) { c.Spec.State = v1alpha1.StateSuspended })
		}, true},
		"they stay where a role is taken away": {func(w *fixture) {
			w.EditUser("alice", func(u *v1alpha1.User) { u.Spec.Accounts[0].Roles = nil })
		}, true},
		"another password ends them": {func(w *fixture) { w.SetPassword("alice", "passwordHash", operatortest.OtherHash) }, false},
		"the Secret goes": {func(w *fixture) {
			w.Must(api.Delete(w.Ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.OwnNamespace, Name: "alice"}}))
		}, false},
		"a hash that cannot be read ends them": {func(w *fixture) { w.SetPassword("alice", "passwordHash", operatortest.UnreadablePassword) }, false},
		"another Secret is named": {func(w *fixture) {
			w.SetPassword("second", "passwordHash", operatortest.OtherHash)
			w.EditUser("alice", func(u *v1alpha1.User) { u.Spec.PasswordSecretRef.Name = "second" })
		}, false},
		"the account is taken away": {func(w *fixture) {
			w.EditUser("alice", func(u *v1alpha1.User) { u.Spec.Accounts = nil })
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, o := newFixtureWithAlice(t)
			rec := w.LogIn(w.NewLoginService(nil), "alice", login.Terms{Kind: token.Login}).Record.Name()
			w.Must(o.Settle())
			stale := w.frozenCache(api)
			c.happens(w)
			w.Must(w.NewUserOperator(stale, api).Settle()) // a replica that receives no events does nothing wrong
			w.Must(o.Settle())
			if got := w.HasRecord(rec); got != c.want {
				t.Fatalf("the login is there: %t", got)
			}
			if c.want {
				return
			}
			w.SetPassword("alice", "passwordHash", operatortest.MarkedHash)
			w.Must(o.Settle())
			if w.HasRecord(rec) {
				t.Error("with the old password the login is back")
			}
		})
	}
}

// A login that follows a change comes from a replica that has observed the change. A replica that
// has not observed it deletes nothing for it.
func TestLogin_StaleReplicaDeletesNothing(t *testing.T) {
	for name, c := range map[string]struct{ before, happens func(*fixture) }{
		"a new password": {func(*fixture) {}, func(w *fixture) { w.SetPassword("alice", "passwordHash", operatortest.OtherHash) }},
		"a new account": {
			func(w *fixture) { w.EditUser("alice", func(u *v1alpha1.User) { u.Spec.Accounts = nil }) },
			func(w *fixture) {
				w.EditUser("alice", func(u *v1alpha1.User) { u.Spec.Accounts = []v1alpha1.Account{{Client: w.ClientName}} })
			},
		},
		"a new user": {
			func(w *fixture) {
				w.Must(api.Delete(w.Ctx, w.GetUser("alice")))
				w.Must(w.NewUserOperator(api, api).Pass())
			},
			func(w *fixture) { w.CreateUserWithPassword("alice", nil) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _ := newFixtureWithAlice(t)
			c.before(w)
			stale := w.frozenCache(api)
			c.happens(w)
			rec := w.LogIn(w.NewLoginService(nil), "alice", login.Terms{Kind: token.Login}).Record.Name()
			var obj v1alpha1.TokenRecord
			w.Must(api.Get(w.Ctx, types.NamespacedName{Namespace: w.OwnNamespace, Name: rec}, &obj))
			_, err := w.NewUserOperator(stale, api).Logins.Reconcile(w.Ctx, &obj)
			w.Must(err)
			if !w.HasRecord(rec) {
				t.Error("garbage collection deleted it")
			}
		})
	}
}

func TestLogin_NewUserOfSameNameInheritsNothing(t *testing.T) {
	w, o := newFixtureWithAlice(t)
	s := w.NewLoginService(nil)
	w.Must(api.Delete(w.Ctx, w.GetUser("alice")))
	// The replica has not observed the deletion yet, and logs her in once more after the last pass
	// of the others.
	_, err := o.Users.Reconcile(w.Ctx, w.GetUser("alice"))
	w.Must(err)
	rec := w.LogIn(s, "alice", login.Terms{Kind: token.Login}).Record.Name()
	w.CreateUserWithPassword("alice", nil)
	own := w.LogIn(w.NewLoginService(nil), "alice", login.Terms{Kind: token.Login}).Record.Name()
	if _, err := o.Users.Reconcile(w.Ctx, w.GetUser("alice")); err != nil || w.GetUser("alice").Status.Sessions != 1 {
		t.Errorf("the namesake has %d logins: %v", w.GetUser("alice").Status.Sessions, err)
	}
	w.Must(o.Settle())
	if w.HasRecord(rec) || !w.HasRecord(own) {
		t.Errorf("the login of the user before is there: %t, that of the namesake: %t", w.HasRecord(rec), w.HasRecord(own))
	}
}

func TestGarbageCollection_OfLoginsFinishesDespiteFaults(t *testing.T) {
	for _, m := range operatortest.FaultModes {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			stride := 1
			if m.Reads {
				stride = 7 // most calls are reads, and alike
			}
			for at, hit := 1, true; hit; at += stride {
				w, _ := newFixtureWithAlice(t)
				s := w.NewLoginService(nil)
				ended := w.LogIn(s, "alice", login.Terms{Kind: token.Open, Lifetime: time.Minute}).Record.Name()
				for range 2 {
					w.LogIn(s, "alice", login.Terms{Kind: token.Login})
				}
				w.MustEditClient(func(c *v1alpha1.Client) { c.Spec.Logins.MaxSessionsPerUser = new(int32(1)) })
				w.Now = w.Now.Add(3 * login.CollectDelay)
				f := w.Faults(at, m)
				err := operatortest.ErrCrash
				for restarts := 0; errors.Is(err, operatortest.ErrCrash) && restarts < 3; restarts++ {
					f.HasCrashed = false
					c := f.Wrap(api)
					err = w.NewUserOperator(c, c).Settle()
				}
				if n := w.RecordsLeft(); err != nil || f.Verdict != nil || n != 1 || w.HasRecord(ended) {
					t.Fatalf("at call %d: %d records are left, the one at its end is there: %t; %v", at, n, w.HasRecord(ended), errors.Join(err, f.Verdict))
				}
				hit = f.Hits > 0
			}
		})
	}
}
