package session_test

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

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
	for range 6 {
		w.Now = w.Now.Add(time.Second)
		logins = append(logins, w.LogIn(s, "alice", login.Terms{Kind: token.Login}).Record.Name())
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
	behind := w.frozenCache(api)
	w.Must(api.Delete(w.Ctx, &v1alpha1.TokenRecord{ObjectMeta: metav1.ObjectMeta{Namespace: w.OwnNamespace, Name: logins[5]}}))
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

// sessionTerms and openTerms are the terms of a session token and of an open token.
var (
	sessionTerms = login.Terms{Kind: token.Session, Source: netip.MustParseAddr("192.0.2.1")}
	openTerms    = login.Terms{Kind: token.Open, Lifetime: time.Hour}
)

// openLogins opens logins of a kind a second apart, and returns the names of their records.
func (w *fixture) openLogins(s *login.Service, n int, terms login.Terms) (names []string) {
	w.T.Helper()
	for range n {
		w.Now = w.Now.Add(time.Second)
		names = append(names, w.LogIn(s, "alice", terms).Record.Name())
	}
	return names
}

// left returns the positions of those records that exist.
func (w *fixture) left(names []string) (there []int) {
	w.T.Helper()
	for i, name := range names {
		if w.HasRecord(name) {
			there = append(there, i)
		}
	}
	return there
}

func TestLoginLimit_LowerLimitOfOneKindLeavesOthers(t *testing.T) {
	w, o := newFixtureWithAlice(t)
	s := w.NewLoginService(nil)
	logins, sessions, open := w.openLogins(s, 3, login.Terms{Kind: token.Login}), w.openLogins(s, 3, sessionTerms), w.openLogins(s, 3, openTerms)
	for _, step := range []struct {
		change                      func(*v1alpha1.LoginPolicy)
		wantLogins, wantSes, wantOp []int
	}{
		{func(l *v1alpha1.LoginPolicy) { l.MaxOpenTokensPerUser = new(int32(1)) }, []int{0, 1, 2}, []int{0, 1, 2}, []int{2}},
		{func(l *v1alpha1.LoginPolicy) { l.MaxSessionTokensPerUser = new(int32(2)) }, []int{0, 1, 2}, []int{1, 2}, []int{2}},
		{func(l *v1alpha1.LoginPolicy) { l.MaxSessionsPerUser = new(int32(1)) }, []int{2}, []int{1, 2}, []int{2}},
		{func(l *v1alpha1.LoginPolicy) { *l = v1alpha1.LoginPolicy{} }, []int{2}, []int{1, 2}, []int{2}}, // none comes back
	} {
		w.MustEditClient(func(c *v1alpha1.Client) { step.change(&c.Spec.Logins) })
		w.Must(o.Settle())
		if l, s, o := w.left(logins), w.left(sessions), w.left(open); !slices.Equal(l, step.wantLogins) || !slices.Equal(s, step.wantSes) || !slices.Equal(o, step.wantOp) {
			t.Errorf("of the logins %v are left, of the session tokens %v, of the open tokens %v; want %v, %v, %v", l, s, o, step.wantLogins, step.wantSes, step.wantOp)
		}
	}
}

func TestLoginLimit_UserOverridesClient(t *testing.T) {
	w, o := newFixtureWithAlice(t)
	w.MustEditClient(func(c *v1alpha1.Client) { c.Spec.Logins.MaxSessionTokensPerUser = new(int32(2)) })
	limit := func(n *int32) *login.Service {
		w.EditUser("alice", func(u *v1alpha1.User) { u.Spec.Logins.MaxSessionTokens = n })
		w.Must(o.Settle())
		return w.NewLoginService(nil)
	}
	sessions := w.openLogins(limit(new(int32(5))), 7, sessionTerms)
	if got := w.left(sessions); !slices.Equal(got, []int{2, 3, 4, 5, 6}) {
		t.Errorf("above the client's limit %v are left, want the newest five", got)
	}
	// The first of them is in use.
	w.Now = w.Now.Add(time.Minute)
	w.Must(w.Store().Use(w.Ctx, sessions[2], w.Now, "192.0.2.1"))
	limit(new(int32(3)))
	if got := w.left(sessions); !slices.Equal(got, []int{2, 5, 6}) {
		t.Errorf("after a lower limit %v are left, want the one in use and the newest two", got)
	}
	limit(new(int32(10_000)))
	if got := w.left(sessions); !slices.Equal(got, []int{2, 5, 6}) {
		t.Errorf("after a higher limit %v are left, want no change", got)
	}
	limit(nil)
	if got := w.left(sessions); !slices.Equal(got, []int{2, 6}) {
		t.Errorf("with the client's limit %v are left, want two", got)
	}
}

// The cache may show logins that have just ended at another replica. To find that out costs one
// read for each excess login, however many logins the user has.
func TestLoginLimit_ConfirmsExcessFirst(t *testing.T) {
	w, _ := newFixtureWithAlice(t)
	sessions := w.openLogins(w.NewLoginService(nil), 30, sessionTerms)
	w.MustEditClient(func(c *v1alpha1.Client) { c.Spec.Logins.MaxSessionTokensPerUser = new(int32(28)) })
	behind := w.frozenCache(api)
	for _, name := range sessions[:2] {
		w.Must(api.Delete(w.Ctx, &v1alpha1.TokenRecord{ObjectMeta: metav1.ObjectMeta{Namespace: w.OwnNamespace, Name: name}}))
	}
	reads := 0
	live := interceptor.NewClient(api, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, o ...client.GetOption) error {
			reads++
			return c.Get(ctx, key, obj, o...)
		},
	})
	_, err := w.NewUserOperator(behind, live).Logins.EnforceLimits(w.Ctx, w.GetUser("alice"))
	w.Must(err)
	if got := w.left(sessions); len(got) != 28 || reads != 2 {
		t.Errorf("%d are left, want 28; %d reads, want 2", len(got), reads)
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
