package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// maxDeclared bounds a probe. On a machine that is too slow for one new token at each tick,
// rotations would otherwise wait forever, since new tokens come first.
const maxDeclared = 3000

// probe declares a new token at each tick, even if earlier tokens are not Ready, and measures how
// long each takes.
type probe struct {
	testbed *testbed
	stop    context.CancelFunc
	over    sync.WaitGroup
	mu      sync.Mutex
	err     error
	began   map[types.NamespacedName]time.Time // at the tick, so that a slow create counts in full
	create  []time.Duration                    // durations of the bare create requests
	took    []time.Duration                    // from the tick until observed Ready
}

// startProbe starts a probe whose tokens have the given prefix. It runs until end is called.
func (s *testbed) startProbe(ctx context.Context, name string) *probe {
	ctx, stop := context.WithCancel(ctx)
	p := &probe{testbed: s, stop: stop, began: map[types.NamespacedName]time.Time{}}
	p.over.Go(func() {
		tick := time.NewTicker(s.testbedConfig.probe)
		defer tick.Stop()
		for i := range maxDeclared {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				key := types.NamespacedName{Namespace: newNamespace, Name: fmt.Sprintf("%s-%05d", name, i)}
				p.over.Go(func() { p.declare(context.WithoutCancel(ctx), key, i) })
			}
		}
	})
	return p
}

func (p *probe) declare(ctx context.Context, key types.NamespacedName, i int) {
	began := time.Now()
	err := p.testbed.clients[i%len(p.testbed.clients)].Create(ctx, newToken(key.Namespace, key.Name))
	took := time.Since(began)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.err = errors.Join(p.err, fmt.Errorf("declare %s: %w", key, err))
		return
	}
	p.began[key] = began
	p.create = append(p.create, took)
}

// end stops declaring, and waits until all declared tokens are Ready.
func (p *probe) end(ctx context.Context) error {
	p.stop()
	p.over.Wait()
	if p.err != nil {
		return p.err
	}
	_, err := p.testbed.tokens.wait(ctx, "Ready of those declared meanwhile", len(p.began), func(key types.NamespacedName, g tokenState) bool {
		_, isProbe := p.began[key]
		return isProbe && g.ready
	})
	if err != nil {
		return err
	}
	for key, began := range p.began {
		ready, _ := p.testbed.tokens.readyAt(key)
		p.took = append(p.took, ready.Sub(began))
	}
	return nil
}

// phases describes how slow the tokens of each quarter of the time were, by their p99.
func (p *probe) phases(from, to time.Time) string {
	const quarters = 4
	var took [quarters][]time.Duration
	for key, began := range p.began {
		ready, _ := p.testbed.tokens.readyAt(key)
		i := int(quarters * began.Sub(from) / max(1, to.Sub(from)))
		took[min(max(i, 0), quarters-1)] = append(took[min(max(i, 0), quarters-1)], ready.Sub(began))
	}
	var text []string
	for _, list := range took {
		text = append(text, fmt.Sprintf("%.2f s", percentile(list, 99).Seconds()))
	}
	return "p99 of those declared in each quarter of the time: " + strings.Join(text, ", ")
}
