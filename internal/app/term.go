package app

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// term is the manager of the reconcilers of one term of leadership. It starts and ends them
// together. Clients, caches and everything else are those of the manager of the process; at its
// end, a term takes its event handlers off the shared caches, so that the next term begins as the
// first one did: with an event for each object that there is.
type term struct {
	manager.Manager

	runnables []manager.Runnable

	mu     sync.Mutex
	over   bool
	remove []func() error // takes off the event handlers
}

// Add implements manager.Manager. What is added starts with the term.
func (t *term) Add(r manager.Runnable) error {
	t.runnables = append(t.runnables, r)
	return nil
}

// GetCache implements cluster.Cluster.
func (t *term) GetCache() cache.Cache { return t.sharing(t.Manager.GetCache()) }

// sharing returns a view of a shared cache whose event handlers the term takes off at its end.
func (t *term) sharing(c cache.Cache) cache.Cache { return termCache{c, t} }

// Start implements manager.Manager. It returns once everything that was added has ended, and
// whatever fails ends the rest.
func (t *term) Start(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, r := range t.runnables {
		group.Go(func() error { return r.Start(ctx) })
	}
	return errors.Join(group.Wait(), t.leave())
}

// leave takes the event handlers off.
func (t *term) leave() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
	var errs []error
	for _, remove := range t.remove {
		errs = append(errs, remove())
	}
	t.remove = nil
	return errors.Join(errs...)
}

// atEnd takes an event handler off at the end of the term; at once, if the term is over.
func (t *term) atEnd(remove func() error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return remove()
	}
	t.remove = append(t.remove, remove)
	return nil
}

// termCache is a shared cache as the reconcilers of a term see it.
type termCache struct {
	cache.Cache
	term *term
}

// GetInformer implements cache.Informers. Sources of events get their informers here.
func (c termCache) GetInformer(ctx context.Context, obj client.Object, opts ...cache.InformerGetOption) (cache.Informer, error) {
	informer, err := c.Cache.GetInformer(ctx, obj, opts...)
	if err != nil {
		return nil, fmt.Errorf("watch %T: %w", obj, err)
	}
	return termInformer{informer, c.term}, nil
}

// termInformer is a shared informer as the reconcilers of a term see it.
type termInformer struct {
	cache.Informer
	term *term
}

// AddEventHandlerWithOptions implements cache.Informer. Sources of events add their handlers here.
func (i termInformer) AddEventHandlerWithOptions(handler toolscache.ResourceEventHandler, options toolscache.HandlerOptions) (toolscache.ResourceEventHandlerRegistration, error) {
	registration, err := i.Informer.AddEventHandlerWithOptions(handler, options)
	if err != nil {
		return nil, fmt.Errorf("add an event handler: %w", err)
	}
	if err := i.term.atEnd(func() error { return i.Informer.RemoveEventHandler(registration) }); err != nil {
		return nil, fmt.Errorf("take an event handler off: %w", err)
	}
	return registration, nil
}
