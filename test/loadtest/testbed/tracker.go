package testbed

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
	"github.com/apptoken/operator/test/loadtest/load"
	"github.com/apptoken/operator/test/loadtest/report"
)

// Tracker observes the ApplicationTokens by a watch, like any client.
type Tracker struct {
	report.Progress
	check  func() error // returns an error if waiting is in vain
	mu     sync.Mutex
	states map[types.NamespacedName]TokenState
}

// TokenState is the last observed state of a token.
type TokenState struct {
	Ready     bool
	Rotations int64
	at        time.Time // when this state was first observed
}

// newTracker returns a Tracker that watches until ctx ends.
func newTracker(ctx context.Context, config *rest.Config, p report.Progress, alive func() error) (*Tracker, error) {
	t := &Tracker{Progress: p, check: alive, states: map[types.NamespacedName]TokenState{}}
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

func (t *Tracker) observe(obj any) {
	at, ok := obj.(*v1alpha1.ApplicationToken)
	if !ok {
		return
	}
	c := meta.FindStatusCondition(at.Status.Conditions, v1alpha1.ConditionReady)
	now := TokenState{
		Ready:     c != nil && c.Status == "True" && c.ObservedGeneration == at.Generation,
		Rotations: at.Status.Rotations,
		at:        time.Now(),
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	key := client.ObjectKeyFromObject(at)
	if was := t.states[key]; was.at.IsZero() || was.Ready != now.Ready || was.Rotations != now.Rotations {
		t.states[key] = now
	}
}

// IsReady reports whether a token is Ready, for Wait.
func IsReady(_ types.NamespacedName, g TokenState) bool { return g.Ready }

// Wait waits until n tokens are as wanted, and returns the instant at which the last became so. It
// fails if there is no progress for three minutes.
func (t *Tracker) Wait(ctx context.Context, what string, n int, wanted func(types.NamespacedName, TokenState) bool) (time.Time, error) {
	const patience, interval = 3 * time.Minute, 5 * time.Second
	moved, reported, most := time.Now(), time.Now(), 0
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
		case time.Since(reported) > interval:
			t.Logf("%d of %d are %s", count, n, what)
			reported = time.Now()
		}
		if err := errors.Join(t.check(), load.Sleep(ctx, 100*time.Millisecond)); err != nil {
			return last, err
		}
	}
}

// Rotations returns how often each token has rotated.
func (t *Tracker) Rotations() map[types.NamespacedName]int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := map[types.NamespacedName]int64{}
	for key, g := range t.states {
		all[key] = g.Rotations
	}
	return all
}

func (t *Tracker) count(wanted func(types.NamespacedName, TokenState) bool) (n int, last time.Time) {
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
func (t *Tracker) readyAt(key types.NamespacedName) (time.Time, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.states[key]
	return g.at, g.Ready
}
