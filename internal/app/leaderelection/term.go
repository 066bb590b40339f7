package leaderelection

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

// Term is the manager of the reconcilers of one term of leadership. It starts and stops them
// together. Clients, caches and everything else belong to the manager of the process. At its end, a
// term removes its event handlers from the shared caches. So the next term begins as the first one
// did: with an event for each existing object.
type Term struct {
	manager.Manager

	runnables []manager.Runnable

	mu       sync.Mutex
	isOver   bool
	removals []func() error // removes the event handlers
}

// Add implements manager.Manager. The runnable starts with the term.
func (t *Term) Add(r manager.Runnable) error {
	t.runnables = append(t.runnables, r)
	return nil
}

// GetCache implements cluster.Cluster.
func (t *Term) GetCache() cache.Cache { return t.CacheView(t.Manager.GetCache()) }

// CacheView returns a view of a shared cache. The term removes the event handlers added through the
// view at its end.
func (t *Term) CacheView(c cache.Cache) cache.Cache { return termCache{c, t} }

// Start implements manager.Manager. It returns once every runnable has ended; a runnable that fails
// ends the others.
func (t *Term) Start(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, r := range t.runnables {
		group.Go(func() error { return r.Start(ctx) })
	}
	return errors.Join(group.Wait(), t.removeHandlers())
}

// removeHandlers removes the event handlers.
func (t *Term) removeHandlers() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.isOver = true
	var errs []error
	for _, remove := range t.removals {
		errs = append(errs, remove())
	}
	t.removals = nil
	return errors.Join(errs...)
}

// onEnd calls remove at the end of the term, or at once if the term is over.
func (t *Term) onEnd(remove func() error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.isOver {
		return remove()
	}
	t.removals = append(t.removals, remove)
	return nil
}

// termCache is the view that the reconcilers of a term have of a shared cache.
type termCache struct {
	cache.Cache
	term *Term
}

// GetInformer implements cache.Informers. Event sources get their informers here.
func (c termCache) GetInformer(ctx context.Context, obj client.Object, opts ...cache.InformerGetOption) (cache.Informer, error) {
	informer, err := c.Cache.GetInformer(ctx, obj, opts...)
	if err != nil {
		return nil, fmt.Errorf("watch %T: %w", obj, err)
	}
	return termInformer{informer, c.term}, nil
}

// termInformer is the view that the reconcilers of a term have of a shared informer.
type termInformer struct {
	cache.Informer
	term *Term
}

// AddEventHandlerWithOptions implements cache.Informer. Event sources add their handlers here.
func (i termInformer) AddEventHandlerWithOptions(handler toolscache.ResourceEventHandler, options toolscache.HandlerOptions) (toolscache.ResourceEventHandlerRegistration, error) {
	registration, err := i.Informer.AddEventHandlerWithOptions(handler, options)
	if err != nil {
		return nil, fmt.Errorf("add an event handler: %w", err)
	}
	if err := i.term.onEnd(func() error { return i.Informer.RemoveEventHandler(registration) }); err != nil {
		return nil, fmt.Errorf("remove an event handler: %w", err)
	}
	return registration, nil
}
