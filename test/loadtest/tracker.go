package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/app"
)

// tracker observes the ApplicationTokens by a watch, like any client.
type tracker struct {
	progress
	check  func() error // returns an error if waiting is in vain
	mu     sync.Mutex
	states map[types.NamespacedName]tokenState
}

// tokenState is the last observed state of a token.
type tokenState struct {
	ready     bool
	rotations int64
	at        time.Time // when this state was first observed
}

// newTracker returns a tracker that watches until ctx ends.
func newTracker(ctx context.Context, config *rest.Config, p progress, alive func() error) (*tracker, error) {
	t := &tracker{progress: p, check: alive, states: map[types.NamespacedName]tokenState{}}
	tokens, err := cache.New(config, cache.Options{Scheme: app.Scheme()})
	if err != nil {
		return nil, fmt.Errorf("watch the tokens: %w", err)
	}
	informer, err := tokens.GetInformer(ctx, &v1alpha1.ApplicationToken{}, cache.BlockUntilSynced(false))
	if err != nil {
		return nil, fmt.Errorf("watch the tokens: %w", err)
	}
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    t.observe,
		UpdateFunc: func(_, obj any) { t.observe(obj) },
	})
	if err != nil {
		return nil, fmt.Errorf("watch the tokens: %w", err)
	}
	go func() { _ = tokens.Start(ctx) }() //nolint:errcheck // it ends when ctx does
	if !tokens.WaitForCacheSync(ctx) {
		return nil, errors.New("watch the tokens: the first list did not come")
	}
	return t, nil
}

func (t *tracker) observe(obj any) {
	at, ok := obj.(*v1alpha1.ApplicationToken)
	if !ok {
		return
	}
	c := meta.FindStatusCondition(at.Status.Conditions, v1alpha1.ConditionReady)
	now := tokenState{
		ready:     c != nil && c.Status == "True" && c.ObservedGeneration == at.Generation,
		rotations: at.Status.Rotations,
		at:        time.Now(),
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	key := client.ObjectKeyFromObject(at)
	if was := t.states[key]; was.at.IsZero() || was.ready != now.ready || was.rotations != now.rotations {
		t.states[key] = now
	}
}

func isReady(_ types.NamespacedName, g tokenState) bool { return g.ready }

// wait waits until n tokens are as wanted, and returns the instant at which the last became so. It
// fails if there is no progress for three minutes.
func (t *tracker) wait(ctx context.Context, what string, n int, wanted func(types.NamespacedName, tokenState) bool) (time.Time, error) {
	const patience, report = 3 * time.Minute, 5 * time.Second
	moved, said, most := time.Now(), time.Now(), 0
	for {
		count, last := t.count(wanted)
		if count >= n {
			return last, nil
		}
		if count > most {
			moved, most = time.Now(), count
		}
		switch {
		case time.Since(moved) > patience:
			return last, fmt.Errorf("%d of %d are %s, and no more have come for %s", count, n, what, patience)
		case time.Since(said) > report:
			t.logf("%d of %d are %s", count, n, what)
			said = time.Now()
		}
		if err := errors.Join(t.check(), sleep(ctx, 100*time.Millisecond)); err != nil {
			return last, err
		}
	}
}

// rotations returns how often each token has rotated.
func (t *tracker) rotations() map[types.NamespacedName]int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := map[types.NamespacedName]int64{}
	for key, g := range t.states {
		all[key] = g.rotations
	}
	return all
}

func (t *tracker) count(wanted func(types.NamespacedName, tokenState) bool) (n int, last time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, g := range t.states {
		if wanted(key, g) {
			n++
			if g.at.After(last) {
				last = g.at
			}
		}
	}
	return n, last
}

// readyAt returns when the current state of a token was first observed, and whether it is Ready.
func (t *tracker) readyAt(key types.NamespacedName) (time.Time, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.states[key]
	return g.at, g.ready
}
