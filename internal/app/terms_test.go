package app_test

import (
	"context"
	"regexp"
	"runtime/pprof"
	"strconv"
	"strings"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apptoken/operator/internal/app"
	"github.com/apptoken/operator/internal/testing/apptest"
)

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
	apptest.Eventually(t, "goroutines end", func(context.Context) bool {
		before := n
		if n = countReconcilerGoroutines(t); n != before {
			same = 0
		}
		same++
		return same > 50
	})
	return n
}

func TestOperator_TermsLeaveNothingBehind(t *testing.T) {
	o := defaultOptions()
	o.Namespace, o.MetricsAddress, o.HealthAddress, o.LeaderElect = apptest.NewNamespace(t, api), "0", "0", true
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
		apptest.SetLeaseHolder(t, api, o.Namespace, "")
		apptest.Eventually(t, "it leads, and workers wait for work", func(context.Context) bool { return op.IsLeading() && countReconcilerGoroutines(t) > atRest+o.Workers })
		apptest.SetLeaseHolder(t, api, o.Namespace, "another")
		apptest.Eventually(t, "it does not lead", func(context.Context) bool { return !op.IsLeading() })
		if n == 0 {
			atRest = settledGoroutineCount(t)
		}
		apptest.Eventually(t, "nothing of the term is left", func(context.Context) bool { return countReconcilerGoroutines(t) <= atRest })
	}
	if _, err := op.Metrics().Gather(); err != nil {
		t.Error(err)
	}
}
