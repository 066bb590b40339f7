package app

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/apptoken/operator/internal/app/informer"
	"github.com/apptoken/operator/internal/directory"
)

// newPasswordCache returns a cache of the Secrets in the operator's own namespace that may hold
// passwords. It is separate from the cache of the Secrets that hold tokens, which bear the
// operator's label and are in the namespaces of tenants.
func newPasswordCache(mgr manager.Manager, to *rest.Config, namespace string, inform informer.Factory) (cache.Cache, error) {
	c, err := cache.New(to, cache.Options{
		Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper(), HTTPClient: mgr.GetHTTPClient(),
		NewInformer: inform.NewForPasswords,
		ByObject: map[client.Object]cache.ByObject{
			&corev1.Secret{}: {Namespaces: map[string]cache.Config{namespace: {}}, Transform: directory.TrimPassword},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("watch the passwords: %w", err)
	}
	if err := mgr.Add(allReplicasCache{c}); err != nil {
		return nil, fmt.Errorf("watch the passwords: %w", err)
	}
	return c, nil
}

// allReplicasCache is a cache that the manager starts with its own cache, on every replica and
// before anything else.
type allReplicasCache struct{ cache.Cache }

// GetCache returns the cache. The manager recognizes caches by this method.
func (e allReplicasCache) GetCache() cache.Cache { return e.Cache }

// addEventHandler adds an event handler to the informer of a cache.
func addEventHandler(ctx context.Context, c cache.Cache, of client.Object, handler toolscache.ResourceEventHandler) (toolscache.ResourceEventHandlerRegistration, error) {
	source, err := c.GetInformer(ctx, of, cache.BlockUntilSynced(false))
	if err != nil {
		return nil, fmt.Errorf("watch %T: %w", of, err)
	}
	registration, err := source.AddEventHandler(handler)
	if err != nil {
		return nil, fmt.Errorf("watch %T: %w", of, err)
	}
	return registration, nil
}
