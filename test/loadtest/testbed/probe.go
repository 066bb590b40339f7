package testbed

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/apptoken/operator/test/loadtest/report"
)

// maxDeclared bounds a probe. On a machine that is too slow for one new token at each tick,
// rotations would otherwise wait forever, since new tokens come first.
const maxDeclared = 3000

// Probe declares a new token at each tick, even if earlier tokens are not Ready, and measures how
// long each takes.
type Probe struct {
	testbed *Testbed
	stop    context.CancelFunc
	over    sync.WaitGroup
	mu      sync.Mutex
	err     error
	Began   map[types.NamespacedName]time.Time // at the tick, so that a slow create counts in full
	Create  []time.Duration                    // durations of the bare create requests
	Took    []time.Duration                    // from the tick until observed Ready
}

// StartProbe starts a probe whose tokens have the given prefix. It runs until end is called.
func (s *Testbed) StartProbe(ctx context.Context, name string) *Probe {
	ctx, stop := context.WithCancel(ctx)
	p := &Probe{testbed: s, stop: stop, Began: map[types.NamespacedName]time.Time{}}
	p.over.Go(func() {
		tick := time.NewTicker(s.Config.Probe)
		defer tick.Stop()
		for i := range maxDeclared {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				key := types.NamespacedName{Namespace: ProbeNamespace, Name: fmt.Sprintf("%s-%05d", name, i)}
				p.over.Go(func() { p.declare(context.WithoutCancel(ctx), key, i) })
			}
		}
	})
	return p
}

func (p *Probe) declare(ctx context.Context, key types.NamespacedName, i int) {
	began := time.Now()
	err := p.testbed.Clients[i%len(p.testbed.Clients)].Create(ctx, NewToken(key.Namespace, key.Name))
	took := time.Since(began)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.err = errors.Join(p.err, fmt.Errorf("declare %s: %w", key, err))
		return
	}
	p.Began[key] = began
	p.Create = append(p.Create, took)
}

// End stops declaring, and waits until all declared tokens are Ready.
func (p *Probe) End(ctx context.Context) error {
	p.stop()
	p.over.Wait()
	if p.err != nil {
		return p.err
	}
	_, err := p.testbed.Tracker.Wait(ctx, "Ready of those declared meanwhile", len(p.Began), func(key types.NamespacedName, g TokenState) bool {
		_, isProbe := p.Began[key]
		return isProbe && g.Ready
	})
	if err != nil {
		return err
	}
	for key, began := range p.Began {
		ready, _ := p.testbed.Tracker.readyAt(key)
		p.Took = append(p.Took, ready.Sub(began))
	}
	return nil
}

// Phases describes how slow the tokens of each quarter of the time were, by their p99.
func (p *Probe) Phases(from, to time.Time) string {
	const quarters = 4
	var took [quarters][]time.Duration
	for key, began := range p.Began {
		ready, _ := p.testbed.Tracker.readyAt(key)
		i := int(quarters * began.Sub(from) / max(1, to.Sub(from)))
		took[min(max(i, 0), quarters-1)] = append(took[min(max(i, 0), quarters-1)], ready.Sub(began))
	}
	var text []string
	for _, list := range took {
		text = append(text, fmt.Sprintf("%.2f s", report.Percentile(list, 99).Seconds()))
	}
	return "p99 of those declared in each quarter of the time: " + strings.Join(text, ", ")
}
