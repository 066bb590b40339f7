package leaderelection_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/apptoken/operator/internal/app/leaderelection"
	"github.com/apptoken/operator/internal/testing/apptest"
)

// namespacesCache returns a running cache of namespaces, which several terms share.
func namespacesCache(t *testing.T) cache.Cache {
	t.Helper()
	c, err := cache.New(testCluster.Admin, cache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Start(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return c
}

// countObjects adds a handler to the informer of namespaces that counts objects.
func countObjects(t *testing.T, c cache.Cache) *atomic.Int64 {
	t.Helper()
	informer, err := c.GetInformer(t.Context(), &corev1.Namespace{})
	if err != nil {
		t.Fatal(err)
	}
	var n atomic.Int64
	if _, err := informer.AddEventHandlerWithOptions(toolscache.ResourceEventHandlerFuncs{AddFunc: func(any) { n.Add(1) }}, toolscache.HandlerOptions{}); err != nil {
		t.Fatal(err)
	}
	return &n
}

func TestTerm_RemovesEventHandlersAtEnd(t *testing.T) {
	shared := namespacesCache(t)
	lasting := countObjects(t, shared)
	first := &leaderelection.Term{}
	seen := countObjects(t, first.CacheView(shared))
	apptest.Eventually(t, "both handlers have got every object", func(context.Context) bool { return lasting.Load() > 0 && seen.Load() == lasting.Load() })

	if err := first.Start(t.Context()); err != nil { // nothing was added, so it ends at once
		t.Fatal(err)
	}
	before := lasting.Load()
	late := countObjects(t, first.CacheView(shared)) // of a source that was slow to start
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "term-"}}
	if err := api.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	next := countObjects(t, (&leaderelection.Term{}).CacheView(shared))
	apptest.Eventually(t, "the handler of the next term has got every object", func(context.Context) bool {
		return lasting.Load() > before && next.Load() == lasting.Load()
	})
	if seen.Load() > before || late.Load() > before {
		t.Errorf("of %d objects, handlers of the term that is over have got %d and %d, after %d at its end", lasting.Load(), seen.Load(), late.Load(), before)
	}
}

func TestTerm_FailureEndsAllRunnables(t *testing.T) {
	broken := errors.New("broken")
	var ended atomic.Bool
	var one leaderelection.Term
	for _, r := range []manager.RunnableFunc{
		func(context.Context) error { return broken },
		func(ctx context.Context) error {
			<-ctx.Done()
			ended.Store(true)
			return nil
		},
	} {
		if err := one.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := one.Start(t.Context()); !errors.Is(err, broken) || !ended.Load() {
		t.Errorf("the term ends with %v, after the others: %t", err, ended.Load())
	}
}
