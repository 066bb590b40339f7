package applicationtoken_test

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
	"github.com/apptoken/operator/internal/token"
)

func TestLoginLimit_LowerLimitEndsOldest(t *testing.T) {
	w, o := newFixtureWithAlice(t)
	s := w.newLoginService(nil)
	var logins []string
	for i := range 6 {
		w.now = w.now.Add(time.Second)
		logins = append(logins, w.logIn(s, "alice", []login.Terms{{Kind: token.Login}, {Kind: token.Open, Lifetime: time.Hour}}[i%2]).Record.Name())
	}
	left := func() (there []int) {
		for i, name := range logins {
			if w.hasRecord(name) {
				there = append(there, i)
			}
		}
		return there
	}
	w.mustEditClient(func(c *v1alpha1.Client) { c.Spec.Logins.MaxSessionsPerUser = new(int32(2)) })
	w.must(o.settle())
	if got := left(); len(got) != 6 {
		t.Errorf("of those that were just opened %v are left, want all", got)
	}
	behind := w.frozenCache(api)
	w.must(api.Delete(w.ctx, &v1alpha1.TokenRecord{ObjectMeta: metav1.ObjectMeta{Namespace: w.ownNamespace, Name: logins[5]}}))
	w.now = w.now.Add(2 * login.CollectDelay)
	w.must(w.newUserOperator(behind, api).settle()) // a replica that has not observed the end of one login does not end another for it
	if got := left(); !slices.Equal(got, []int{3, 4}) {
		t.Errorf("%v are left, want the newest two", got)
	}
	before := w.writes.Load()
	w.must(o.settle())
	if w.mustEditClient(func(c *v1alpha1.Client) { c.Spec.Logins.MaxSessionsPerUser = nil }); w.writes.Load()-before > 1 || len(left()) != 2 {
		t.Errorf("%d writes once the cap is kept, want that of the status; %v are left", w.writes.Load()-before, left())
	}
}

// Records hold whole seconds, and programs log in faster than that.
func TestLoginLimit_OldestOfOneSecondEnds(t *testing.T) {
	w, _ := newFixtureWithAlice(t)
	w.mustEditClient(func(c *v1alpha1.Client) { c.Spec.Logins.MaxSessionsPerUser = new(int32(3)) })
	one, other := w.newLoginService(nil), w.newLoginService(nil)
	var logins []string
	for i := range 12 {
		s := []*login.Service{one, other}[i%2]
		logins = append(logins, w.logIn(s, "alice", login.Terms{Kind: token.Login}).Record.Name())
		for n, name := range logins {
			if w.hasRecord(name) != (n > i-3) {
				t.Errorf("after %d logins: number %d is there: %t", i+1, n+1, w.hasRecord(name))
			}
		}
	}
}

// The limit of a client is kept although each of several replicas knows only its own logins.
func TestLoginLimit_KeptWhenReplicasAcceptTooMany(t *testing.T) {
	w, o := newFixtureWithAlice(t)
	w.mustEditClient(func(c *v1alpha1.Client) { c.Spec.Logins.MaxSessionsPerUser = new(int32(3)) })
	stale := byIndexes(t, w.frozenCache(api))
	for range 5 {
		w.now = w.now.Add(time.Second)
		w.logIn(w.newLoginService(func(o *login.Options) { o.Records = kube.New(stale, api, w.ownNamespace) }), "alice", login.Terms{Kind: token.Login})
	}
	if n := w.recordsLeft(); n != 5 {
		t.Fatalf("%d logins were let in, and the test is about 5", n)
	}
	w.now = w.now.Add(2 * login.CollectDelay)
	w.must(o.settle())
	if n := w.recordsLeft(); n != 3 {
		t.Errorf("%d logins are left, want 3", n)
	}
}

// failingClaimStore is a store in which a refresh stops before its last step.
type failingClaimStore struct{ *kube.Store }

func (failingClaimStore) Claim(context.Context, record.Record) error { return errCrash }

// Invariant 4: garbage collection deletes what an interrupted refresh leaves. It leaves a refresh
// in progress alone, which costs no other login, whatever the limit.
func TestRefresh_OrphanIsDeletedAndRunningRefreshKept(t *testing.T) {
	w, o := newFixtureWithAlice(t)
	w.mustEditClient(func(c *v1alpha1.Client) { c.Spec.Logins.MaxSessionsPerUser = new(int32(1)) })
	first := w.logIn(w.newLoginService(nil), "alice", login.Terms{Kind: token.Login, Refreshable: true})
	w.now = first.Record.CreatedAt.Add(time.Hour / 2)
	stopped := w.newLoginService(func(o *login.Options) {
		o.Records = failingClaimStore{kube.New(byIndexes(t, api), api, w.ownNamespace)}
	})
	if _, err := stopped.Refresh(w.ctx, first.Refresh, "", netip.Addr{}, w.now); err == nil {
		t.Fatal("the refresh came to its end")
	}
	if n := w.recordsLeft(); n != 2 {
		t.Fatalf("there are %d records, want the login and its orphan", n)
	}
	// Between its two steps the state is the same. The record has the clock of the API server.
	w.now = first.Record.CreatedAt.Add(login.CollectDelay - time.Second)
	w.must(o.settle())
	if n := w.recordsLeft(); n != 2 {
		t.Errorf("%d records are left of a refresh under way", n)
	}
	w.now = w.now.Add(5 * time.Second)
	w.must(o.settle())
	if n := w.recordsLeft(); n != 1 || !w.hasRecord(first.Record.Name()) {
		t.Errorf("%d records are left, and the login is there: %t", n, w.hasRecord(first.Record.Name()))
	}
	next, err := w.newLoginService(nil).Refresh(w.ctx, first.Refresh, "", netip.Addr{}, w.now)
	w.must(err)
	w.now = w.now.Add(2 * login.CollectDelay)
	w.must(o.settle())
	if n := w.recordsLeft(); n != 1 || !w.hasRecord(next.Record.Name()) {
		t.Errorf("after a whole refresh %d records are left, and its own is there: %t", n, w.hasRecord(next.Record.Name()))
	}
}
