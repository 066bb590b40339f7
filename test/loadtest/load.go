package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
)

// inParallel calls do n times, from all plain clients in parallel. The first error ends it.
func (s *testbed) inParallel(ctx context.Context, what string, n int, do func(context.Context, client.Client, int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next, done atomic.Int64
	var workers sync.WaitGroup
	for _, c := range s.clients {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if err := do(ctx, c, i); err != nil {
					cancel(fmt.Errorf("%s: %w", what, err))
					return
				}
				done.Add(1)
			}
		})
	}
	over := make(chan struct{})
	go func() {
		workers.Wait()
		close(over)
	}()
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-over:
			return context.Cause(ctx)
		case <-tick.C:
			s.logf("%s: %d of %d", what, done.Load(), n)
		}
	}
}

// declareAll declares all tokens.
func (s *testbed) declareAll(ctx context.Context) error {
	return s.inParallel(ctx, "apply", s.testbedConfig.tokens, func(ctx context.Context, c client.Client, i int) error {
		return c.Create(ctx, newToken(namespaceOf(i), nameOf(i)))
	})
}

// patchAll applies the same patch to all tokens.
func (s *testbed) patchAll(ctx context.Context, what, merge string) error {
	return s.inParallel(ctx, what, s.testbedConfig.tokens, func(ctx context.Context, c client.Client, i int) error {
		at := &v1alpha1.ApplicationToken{ObjectMeta: metav1.ObjectMeta{Namespace: namespaceOf(i), Name: nameOf(i)}}
		return c.Patch(ctx, at, client.RawPatch("application/merge-patch+json", []byte(merge)))
	})
}

// newToken returns a token as an application team declares it. Its predecessors stay for a day, so
// that none is retired during the measurement.
func newToken(namespace, name string) *v1alpha1.ApplicationToken {
	return &v1alpha1.ApplicationToken{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.ApplicationTokenSpec{
			ClientRef:   &v1alpha1.Reference{Name: clientName},
			Roles:       []v1alpha1.RoleName{"primary", "developer"},
			Permissions: []v1alpha1.Permission{"search.query", "sec.continuous.rest"},
			Lifetime:    "2160h",
			Rotation: v1alpha1.Rotation{
				Every: "720h", Trigger: "1",
				Retire: &v1alpha1.Retire{When: v1alpha1.RetireAfterOverlap, MinOverlap: "0s", MaxOverlap: "24h"},
			},
		},
	}
}

func namespaceOf(i int) string { return fmt.Sprintf("bench-%d", i%namespaces) }

func nameOf(i int) string { return fmt.Sprintf("token-%05d", i) }
