package leaderelection_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/internal/app"
)

// getLease returns the Lease in a namespace; an empty one if there is none.
func getLease(ctx context.Context, t *testing.T, namespace string) *coordinationv1.Lease {
	t.Helper()
	var lease coordinationv1.Lease
	if err := api.Get(ctx, types.NamespacedName{Namespace: namespace, Name: "apptoken-operator"}, &lease); client.IgnoreNotFound(err) != nil {
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

// setLeaseHolder gives the Lease to another holder, which does not renew it; with "", to the first
// replica that takes it.
func setLeaseHolder(t *testing.T, namespace, to string) {
	t.Helper()
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "apptoken-operator"}}
	patch := fmt.Appendf(nil, `{"spec":{"holderIdentity":%q,"leaseDurationSeconds":3600}}`, to)
	if err := api.Patch(t.Context(), lease, client.RawPatch(types.MergePatchType, patch)); err != nil {
		t.Fatal(err)
	}
}

// competitor is a replica that competes for a Lease.
type competitor struct {
	*app.Leadership
	stop  context.CancelFunc
	ended chan error
}

// startCompetitor starts a replica. It ends with the test at the latest.
func startCompetitor(t *testing.T, to *rest.Config, namespace string, term func(context.Context) error) competitor {
	t.Helper()
	l, err := app.NewLeadership(to, namespace, term)
	if err != nil {
		t.Fatal(err)
	}
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

func TestLeadership_KeepsLeaseUntilReconcilersEnd(t *testing.T) {
	namespace := newNamespace(t)
	stopped, end := make(chan struct{}), make(chan struct{})
	var over atomic.Bool
	first := startCompetitor(t, testCluster.Admin, namespace, func(ctx context.Context) error {
		<-ctx.Done()
		close(stopped)
		<-end
		over.Store(true)
		return nil
	})
	eventually(t, "the first leads", func(context.Context) bool { return first.Leading() })
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
	eventually(t, "the first renews the Lease while its reconcilers end", func(ctx context.Context) bool {
		now := getLease(ctx, t, namespace)
		return leaseHolder(now) == leaseHolder(held) && leaseHolder(now) != "" && now.Spec.RenewTime.After(held.Spec.RenewTime.Time)
	})
	close(end)
	eventually(t, "the second leads", func(context.Context) bool { return second.Leading() })
	second.stop()
	<-second.ended
	if name := leaseHolder(getLease(t.Context(), t, namespace)); name != "" {
		t.Errorf("%s holds the Lease after the end of all", name)
	}
}

func TestLeadership_OneReplicaReconcilesAtATime(t *testing.T) {
	namespace := newNamespace(t)
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
		eventually(t, fmt.Sprintf("in term %d, one replica reconciles", n+1), func(context.Context) bool { return terms.Load() == n+1 && reconciling.Load() == 1 })
		setLeaseHolder(t, namespace, "another")
		eventually(t, "none reconciles while another holds the Lease", func(context.Context) bool { return reconciling.Load() == 0 })
		if name := leaseHolder(getLease(t.Context(), t, namespace)); name != "another" {
			t.Errorf("%q holds the Lease, want the other one", name)
		}
		setLeaseHolder(t, namespace, "")
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

func TestLeadership_OutageEndsTermAndNextOneFollows(t *testing.T) {
	namespace := newNamespace(t)
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
		eventually(t, "it leads", func(context.Context) bool { return c.Leading() && terms.Load() == n+1 })
		o.away.Store(true)
		eventually(t, "it does not lead", func(context.Context) bool { return !c.Leading() })
		o.away.Store(false)
	}
	eventually(t, "it leads again", func(context.Context) bool { return c.Leading() })
	o.away.Store(true)
	c.stop()
	if err := <-c.ended; err != nil { // though the Lease cannot be released
		t.Error(err)
	}
}

func TestLeadership_FailedTermIsStartedAgain(t *testing.T) {
	var terms atomic.Int32
	c := startCompetitor(t, testCluster.Admin, newNamespace(t), func(ctx context.Context) error {
		if terms.Add(1) == 1 {
			return errors.New("broken")
		}
		<-ctx.Done()
		return nil
	})
	eventually(t, "it leads for a second term", func(context.Context) bool { return c.Leading() && terms.Load() == 2 })
}

// countReconcilerGoroutines returns the number of goroutines that deliver events to reconcilers, or
// work for their queues.
func countReconcilerGoroutines(t *testing.T) (n int) {
	t.Helper()
	var stacks strings.Builder
	if err := pprof.Lookup("goroutine").WriteTo(&stacks, 1); err != nil {
		t.Fatal(err)
	}
	of := regexp.MustCompile(`processorListener|workqueue|priorityqueue|fairqueue|internal/controller|internal/source`)
	count := regexp.MustCompile(`(?m)^(\d+) @`)
	for stack := range strings.SplitSeq(stacks.String(), "\n\n") {
		found := count.FindStringSubmatch(stack)
		if found == nil || !of.MatchString(stack) {
			continue
		}
		same, err := strconv.Atoi(found[1])
		if err != nil {
			t.Fatal(err)
		}
		n += same
	}
	return n
}

// settledGoroutineCount returns the number of these goroutines once it no longer changes.
func settledGoroutineCount(t *testing.T) (n int) {
	t.Helper()
	same := 0
	eventually(t, "goroutines end", func(context.Context) bool {
		before := n
		if n = countReconcilerGoroutines(t); n != before {
			same = 0
		}
		same++
		return same > 50
	})
	return n
}

func TestLeadership_TermsLeaveNothingBehind(t *testing.T) {
	o := defaultOptions()
	o.Namespace, o.MetricsAddress, o.HealthAddress, o.LeaderElect = newNamespace(t), "0", "0", true
	lease := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: o.Namespace, Name: "apptoken-operator"},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: new("another"), LeaseDurationSeconds: new(int32(3600))},
	}
	if err := api.Create(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	op, err := app.NewOperator(t.Context(), testCluster.Admin, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- op.Manager.Start(ctx) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	var atRest int // after the first term, so that every informer runs
	for n := range 3 {
		setLeaseHolder(t, o.Namespace, "")
		eventually(t, "it leads, and workers wait for work", func(context.Context) bool { return op.Leading() && countReconcilerGoroutines(t) > atRest+o.Workers })
		setLeaseHolder(t, o.Namespace, "another")
		eventually(t, "it does not lead", func(context.Context) bool { return !op.Leading() })
		if n == 0 {
			atRest = settledGoroutineCount(t)
		}
		eventually(t, "nothing of the term is left", func(context.Context) bool { return countReconcilerGoroutines(t) <= atRest })
	}
	if _, err := op.Metrics().Gather(); err != nil {
		t.Error(err)
	}
}
