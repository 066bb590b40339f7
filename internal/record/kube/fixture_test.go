package kube_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/record/kube"
	"github.com/apptoken/operator/internal/record/recordtest"
	"github.com/apptoken/operator/internal/testing/controlplane"
)

// The one control plane of this package's tests, and the clients for it.
var (
	admin  *rest.Config
	scheme = runtime.NewScheme()
	mapper meta.RESTMapper
	api    client.Client // with every right, and no cache
)

func TestMain(m *testing.M) { controlplane.Main(m, connect) }

func connect(c *controlplane.Cluster) error {
	log.SetLogger(logr.Discard())
	admin = c.Admin
	if err := errors.Join(corev1.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return err
	}
	way, err := rest.HTTPClientFor(admin)
	if err != nil {
		return err
	}
	if mapper, err = apiutil.NewDynamicRESTMapper(admin, way); err != nil {
		return err
	}
	api, err = client.New(admin, client.Options{Scheme: scheme, Mapper: mapper, HTTPClient: way})
	return err
}

// createNamespace creates a namespace for records.
func createNamespace(t *testing.T) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "own-"}}
	must(t, api.Create(t.Context(), ns))
	return ns.Name
}

// clientsByWay are the ways in which the operator uses a Store: each returns a client for a
// namespace.
var clientsByWay = map[string]func(t *testing.T, namespace string) client.Client{
	"over the API server": func(*testing.T, string) client.Client { return recordtest.Direct(api) },
	"over a cache that waits for its own writes": func(t *testing.T, namespace string) client.Client {
		c := newCache(t, namespace, nil)
		cc, err := client.New(admin, client.Options{Scheme: scheme, Mapper: mapper, Cache: &client.CacheOptions{
			Reader: c, EnableReadYourWritesConsistency: new(true),
		}})
		must(t, err)
		return cc
	},
}

// newCache returns a cache of the records of a namespace, configured as in the operator. If prepare
// is not nil, it is called before the cache starts.
func newCache(t *testing.T, namespace string, prepare func(cache.Cache)) cache.Cache {
	t.Helper()
	return newCacheOver(t, nil, namespace, prepare)
}

// newCacheOver is newCache with an HTTP client.
func newCacheOver(t *testing.T, way *http.Client, namespace string, prepare func(cache.Cache)) cache.Cache {
	t.Helper()
	c, err := cache.New(admin, cache.Options{
		Scheme: scheme, Mapper: mapper, HTTPClient: way,
		DefaultTransform: cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{
			&v1alpha1.TokenRecord{}: {Namespaces: map[string]cache.Config{namespace: {}}},
		},
	})
	must(t, err)
	must(t, c.IndexField(t.Context(), &v1alpha1.TokenRecord{}, kube.IndexOwner, kube.OwnerOf))
	must(t, c.IndexField(t.Context(), &v1alpha1.TokenRecord{}, kube.FieldFamily, func(o client.Object) []string {
		if refresh := o.(*v1alpha1.TokenRecord).Spec.Refresh; refresh != nil {
			return []string{string(refresh.Family)}
		}
		return nil
	}))
	if prepare != nil {
		prepare(c)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Start(ctx) }()
	t.Cleanup(func() {
		stop()
		must(t, <-ended)
	})
	if !c.WaitForCacheSync(t.Context()) {
		t.Fatal("the cache was not filled")
	}
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// await waits until a condition holds.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 5*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
		return so(), nil
	})
	if err != nil {
		t.Fatalf("waited in vain until %s: %v", what, err)
	}
}
