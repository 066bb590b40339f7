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

	"github.com/apptoken/operator/controllers"
)

// newPasswords is a cache of what can be a password among the Secrets of the operator's own namespace. It is another one than
// that of the Secrets that hold tokens, which bear our label and are in the namespaces of tenants.
func newPasswords(mgr manager.Manager, to *rest.Config, namespace string, inform informers) (cache.Cache, error) {
	c, err := cache.New(to, cache.Options{
		Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper(), HTTPClient: mgr.GetHTTPClient(),
		NewInformer: inform.ofPasswords,
		ByObject: map[client.Object]cache.ByObject{
			&corev1.Secret{}: {Namespaces: map[string]cache.Config{namespace: {}}, Transform: controllers.TrimPassword},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("watch the passwords: %w", err)
	}
	if err := mgr.Add(everywhere{c}); err != nil {
		return nil, fmt.Errorf("watch the passwords: %w", err)
	}
	return c, nil
}

// everywhere is a cache that the manager starts with its own, on every replica and before anything else.
type everywhere struct{ cache.Cache }

// GetCache is by what the manager knows a cache.
func (e everywhere) GetCache() cache.Cache { return e.Cache }

// feed adds a handler to the informer of a cache.
func feed(ctx context.Context, c cache.Cache, of client.Object, handler toolscache.ResourceEventHandler) (toolscache.ResourceEventHandlerRegistration, error) {
	informer, err := c.GetInformer(ctx, of, cache.BlockUntilSynced(false))
	if err != nil {
		return nil, fmt.Errorf("watch %T: %w", of, err)
	}
	registration, err := informer.AddEventHandler(handler)
	if err != nil {
		return nil, fmt.Errorf("watch %T: %w", of, err)
	}
	return registration, nil
}
