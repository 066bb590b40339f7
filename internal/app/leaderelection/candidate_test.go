package leaderelection_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/internal/app/leaderelection"
	"github.com/apptoken/operator/internal/testing/apptest"
)

// getLease returns the Lease in a namespace; an empty one if there is none.
func getLease(ctx context.Context, t *testing.T, namespace string) *coordinationv1.Lease {
	t.Helper()
	var lease coordinationv1.Lease
	if err := api.Get(ctx, types.NamespacedName{Namespace: namespace, Name: leaderelection.LeaseName}, &lease); client.IgnoreNotFound(err) != nil {
		t.Fatal(err)
	}
	return &lease
}

func leaseHolder(lease *coordinationv1.Lease) string {
	if lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *lease.Spec.HolderIdentity
}

// competitor is a replica that competes for a Lease.
type competitor struct {
	*leaderelection.Candidate
	stop  context.CancelFunc
	ended chan error
}

// startCompetitor starts a replica. It ends with the test at the latest.
func startCompetitor(t *testing.T, to *rest.Config, namespace string, term func(context.Context) error) competitor {
	t.Helper()
	lease, err := leaderelection.NewLease(to, namespace, nil, logr.Discard())
	if err != nil {
		t.Fatal(err)
	}
	l := &leaderelection.Candidate{Lease: lease, RunTerm: term, Log: logr.Discard()}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- l.Start(ctx)
		close(ended)
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return competitor{l, stop, ended}
}

func TestCandidate_KeepsLeaseUntilReconcilersEnd(t *testing.T) {
	namespace := apptest.NewNamespace(t, api)
	stopped, end := make(chan struct{}), make(chan struct{})
	var over atomic.Bool
	first := startCompetitor(t, testCluster.Admin, namespace, func(ctx context.Context) error {
		<-ctx.Done()
		close(stopped)
		<-end
		over.Store(true)
		return nil
	})
	apptest.Eventually(t, "the first leads", func(context.Context) bool { return first.IsLeading() })
	second := startCompetitor(t, testCluster.Admin, namespace, func(ctx context.Context) error {
		if !over.Load() {
			t.Error("the second reconciles before the first has ended")
		}
		<-ctx.Done()
		return nil
	})
	first.stop()
	<-stopped
	held := getLease(t.Context(), t, namespace)
	apptest.Eventually(t, "the first renews the Lease while its reconcilers end", func(ctx context.Context) bool {
		now := getLease(ctx, t, namespace)
		return leaseHolder(now) == leaseHolder(held) && leaseHolder(now) != "" && now.Spec.RenewTime.After(held.Spec.RenewTime.Time)
	})
	close(end)
	apptest.Eventually(t, "the second leads", func(context.Context) bool { return second.IsLeading() })
	second.stop()
	<-second.ended
	if name := leaseHolder(getLease(t.Context(), t, namespace)); name != "" {
		t.Errorf("%s holds the Lease after the end of all", name)
	}
}

func TestCandidate_OneReplicaReconcilesAtATime(t *testing.T) {
	namespace := apptest.NewNamespace(t, api)
	var reconciling, terms atomic.Int32
	term := func(ctx context.Context) error {
		if n := reconciling.Add(1); n > 1 {
			t.Errorf("%d replicas reconcile", n)
		}
		defer reconciling.Add(-1)
		terms.Add(1)
		<-ctx.Done()
		return nil
	}
	for range 3 {
		startCompetitor(t, testCluster.Admin, namespace, term)
	}
	for n := range int32(3) {
		apptest.Eventually(t, fmt.Sprintf("in term %d, one replica reconciles", n+1), func(context.Context) bool { return terms.Load() == n+1 && reconciling.Load() == 1 })
		apptest.SetLeaseHolder(t, api, namespace, "another")
		apptest.Eventually(t, "none reconciles while another holds the Lease", func(context.Context) bool { return reconciling.Load() == 0 })
		if name := leaseHolder(getLease(t.Context(), t, namespace)); name != "another" {
			t.Errorf("%q holds the Lease, want the other one", name)
		}
		apptest.SetLeaseHolder(t, api, namespace, "")
	}
}

// outage makes the API server unreachable for a client.
type outage struct{ away atomic.Bool }

func (o *outage) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		if o.away.Load() {
			return nil, errors.New("the API server is away")
		}
		return next.RoundTrip(r)
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestCandidate_OutageEndsTermAndNextOneFollows(t *testing.T) {
	namespace := apptest.NewNamespace(t, api)
	var o outage
	to := rest.CopyConfig(testCluster.Admin)
	to.Wrap(o.wrap)
	var terms atomic.Int32
	c := startCompetitor(t, to, namespace, func(ctx context.Context) error {
		terms.Add(1)
		<-ctx.Done()
		return nil
	})
	for n := range int32(2) {
		apptest.Eventually(t, "it leads", func(context.Context) bool { return c.IsLeading() && terms.Load() == n+1 })
		o.away.Store(true)
		apptest.Eventually(t, "it does not lead", func(context.Context) bool { return !c.IsLeading() })
		o.away.Store(false)
	}
	apptest.Eventually(t, "it leads again", func(context.Context) bool { return c.IsLeading() })
	o.away.Store(true)
	c.stop()
	if err := <-c.ended; err != nil { // though the Lease cannot be released
		t.Error(err)
	}
}

func TestCandidate_FailedTermIsStartedAgain(t *testing.T) {
	var terms atomic.Int32
	c := startCompetitor(t, testCluster.Admin, apptest.NewNamespace(t, api), func(ctx context.Context) error {
		if terms.Add(1) == 1 {
			return errors.New("broken")
		}
		<-ctx.Done()
		return nil
	})
	apptest.Eventually(t, "it leads for a second term", func(context.Context) bool { return c.IsLeading() && terms.Load() == 2 })
}
