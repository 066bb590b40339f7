package session_test

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/record/kube"
	"github.com/apptoken/operator/internal/testing/operatortest"
	"github.com/apptoken/operator/internal/token"
)

func TestLoginLimit_LowerLimitEndsOldest(t *testing.T) {
	w, o := newFixtureWithAlice(t)
	s := w.NewLoginService(nil)
	var logins []string
	for i := range 6 {
		w.Now = w.Now.Add(time.Second)
		logins = append(logins, w.LogIn(s, "alice", []login.Terms{{Kind: token.Login}, {Kind: token.Open, Lifetime: time.Hour}}[i%2]).Record.Name())
	}
	left := func() (there []int) {
		for i, name := range logins {
			if w.HasRecord(name) {
				there = append(there, i)
			}
		}
		return there
	}
	w.MustEditClient(func(c *v1alpha1.Client) { c.Spec.Logins.MaxSessionsPerUser = new(int32(2)) })
	w.Must(o.Settle())
	if got := left(); len(got) != 6 {
		t.Errorf("of those that were just opened %v are left, want all", got)
	}
	behind := w.frozenCache(api)
	w.Must(api.Delete(w.Ctx, &v1alpha1.TokenRecord{ObjectMeta: metav1.ObjectMeta{Namespace: w.OwnNamespace, Name: logins[5]}}))
	w.Now = w.Now.Add(2 * login.CollectDelay)
	w.Must(w.NewUserOperator(behind, api).Settle()) // a replica that has not observed the end of one login does not end another for it
	if got := left(); !slices.Equal(got, []int{3, 4}) {
		t.Errorf("%v are left, want the newest two", got)
	}
	before := w.Writes.Load()
	w.Must(o.Settle())
	if w.MustEditClient(func(c *v1alpha1.Client) { c.Spec.Logins.MaxSessionsPerUser = nil }); w.Writes.Load()-before > 1 || len(left()) != 2 {
		t.Errorf("%d writes once the cap is kept, want that of the status; %v are left", w.Writes.Load()-before, left())
	}
}

// Records hold whole seconds, and programs log in faster than that.
func TestLoginLimit_OldestOfOneSecondEnds(t *testing.T) {
	w, _ := newFixtureWithAlice(t)
	w.MustEditClient(func(c *v1alpha1.Client) { c.Spec.Logins.MaxSessionsPerUser = new(int32(3)) })
	one, other := w.NewLoginService(nil), w.NewLoginService(nil)
	var logins []string
	for i := range 12 {
		s := []*login.Service{one, other}[i%2]
		logins = append(logins, w.LogIn(s, "alice", login.Terms{Kind: token.Login}).Record.Name())
		for n, name := range logins {
			if w.HasRecord(name) != (n > i-3) {
				t.Errorf("after %d logins: number %d is there: %t", i+1, n+1, w.HasRecord(name))
			}
		}
	}
}

// The limit of a client is kept although each of several replicas knows only its own logins.
func TestLoginLimit_KeptWhenReplicasAcceptTooMany(t *testing.T) {
	w, o := newFixtureWithAlice(t)
	w.MustEditClient(func(c *v1alpha1.Client) { c.Spec.Logins.MaxSessionsPerUser = new(int32(3)) })
	stale := operatortest.ByIndexes(t, w.frozenCache(api))
	for range 5 {
		w.Now = w.Now.Add(time.Second)
		w.LogIn(w.NewLoginService(func(o *login.Options) { o.Records = kube.New(stale, api, w.OwnNamespace) }), "alice", login.Terms{Kind: token.Login})
	}
	if n := w.RecordsLeft(); n != 5 {
		t.Fatalf("%d logins were let in, and the test is about 5", n)
	}
	w.Now = w.Now.Add(2 * login.CollectDelay)
	w.Must(o.Settle())
	if n := w.RecordsLeft(); n != 3 {
		t.Errorf("%d logins are left, want 3", n)
	}
}

// failingClaimStore is a store in which a refresh stops before its last step.
type failingClaimStore struct{ *kube.Store }

func (failingClaimStore) Claim(context.Context, record.Record) error { return operatortest.ErrCrash }

// Invariant 4: garbage collection deletes what an interrupted refresh leaves. It leaves a refresh
// in progress alone, which costs no other login, whatever the limit.
func TestRefresh_OrphanIsDeletedAndRunningRefreshKept(t *testing.T) {
	w, o := newFixtureWithAlice(t)
	w.MustEditClient(func(c *v1alpha1.Client) { c.Spec.Logins.MaxSessionsPerUser = new(int32(1)) })
	first := w.LogIn(w.NewLoginService(nil), "alice", login.Terms{Kind: token.Login, Refreshable: true})
	w.Now = first.Record.CreatedAt.Add(time.Hour / 2)
	stopped := w.NewLoginService(func(o *login.Options) {
		o.Records = failingClaimStore{kube.New(operatortest.ByIndexes(t, api), api, w.OwnNamespace)}
	})
	if _, err := stopped.Refresh(w.Ctx, first.Refresh, "", netip.Addr{}, w.Now); err == nil {
		t.Fatal("the refresh came to its end")
	}
	if n := w.RecordsLeft(); n != 2 {
		t.Fatalf("there are %d records, want the login and its orphan", n)
	}
	// Between its two steps the state is the same. The record has the clock of the API server.
	w.Now = first.Record.CreatedAt.Add(login.CollectDelay - time.Second)
	w.Must(o.Settle())
	if n := w.RecordsLeft(); n != 2 {
		t.Errorf("%d records are left of a refresh under way", n)
	}
	w.Now = w.Now.Add(5 * time.Second)
	w.Must(o.Settle())
	if n := w.RecordsLeft(); n != 1 || !w.HasRecord(first.Record.Name()) {
		t.Errorf("%d records are left, and the login is there: %t", n, w.HasRecord(first.Record.Name()))
	}
	next, err := w.NewLoginService(nil).Refresh(w.Ctx, first.Refresh, "", netip.Addr{}, w.Now)
	w.Must(err)
	w.Now = w.Now.Add(2 * login.CollectDelay)
	w.Must(o.Settle())
	if n := w.RecordsLeft(); n != 1 || !w.HasRecord(next.Record.Name()) {
		t.Errorf("after a whole refresh %d records are left, and its own is there: %t", n, w.HasRecord(next.Record.Name()))
	}
}
