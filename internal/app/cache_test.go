package app_test

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/app"
	"github.com/apptoken/operator/internal/app/options"
	"github.com/apptoken/operator/internal/testing/controlplane"
)

const (
	hostileSecrets = 1000
	maxGrowth      = 64 << 20
)

// hostileDisguises holds the disguises of a Secret that is made to fill the operator's memory. Most
// are about a megabyte; "annotations" is a quarter of that, and the last as large as the cache
// keeps.
var hostileDisguises = map[string]func(*corev1.Secret){
	"bare":            func(s *corev1.Secret) { s.OwnerReferences, s.Data = nil, megabyteIn(1) },
	"of a token":      func(s *corev1.Secret) { s.Data = megabyteIn(1) },
	"immutable":       func(s *corev1.Secret) { s.Data, s.Immutable = megabyteIn(4), new(true) },
	"of another type": func(s *corev1.Secret) { s.Data, s.Type = megabyteIn(1), "example.com/credentials" },
	"many keys":       func(s *corev1.Secret) { s.Data = megabyteIn(20_000) },
	"annotations": func(s *corev1.Secret) {
		s.Data = map[string][]byte{"token": []byte("x")}
		s.Annotations[v1alpha1.AnnotationAdopt] = strings.Repeat("a", 120<<10)
		s.Annotations[v1alpha1.AnnotationRecord] = strings.Repeat("b", 120<<10)
	},
	"labels": func(s *corev1.Secret) {
		for i := range 8000 {
			s.Labels[fmt.Sprintf("example.com/%050d", i)] = strings.Repeat("c", 60)
		}
	},
	"owners and finalizers": func(s *corev1.Secret) {
		for i := range 4000 {
			s.OwnerReferences = append(s.OwnerReferences, metav1.OwnerReference{
				APIVersion: "v1", Kind: "ConfigMap", Name: fmt.Sprintf("%060d", i), UID: types.UID(fmt.Sprintf("%040d", i)),
			})
			s.Finalizers = append(s.Finalizers, fmt.Sprintf("example.com/%050d", i))
		}
	},
	"as large as is kept": func(s *corev1.Secret) { s.Data = map[string][]byte{"token": []byte(strings.Repeat("d", 15<<10))} },
}

var megabyte = []byte(strings.Repeat("x", 1_000_000))

// megabyteIn returns a megabyte of data in a number of keys.
func megabyteIn(keys int) map[string][]byte {
	data := map[string][]byte{}
	for i := range keys {
		data[fmt.Sprintf("key-%d", i)] = megabyte[:(len(megabyte)/keys)/2*2]
	}
	if keys > 1000 { // the keys have a length too
		for key := range data {
			data[key] = data[key][:25]
		}
	}
	return data
}

func TestCache_HostileSecretsStayWithinBound(t *testing.T) {
	c := controlplane.StartFor(t) // a cluster of its own: the gigabyte goes with it
	writer, err := client.New(c.Admin, client.Options{Scheme: app.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	before := startCache(t, c.Admin, false)
	base := heapInUse()
	createHostileSecrets(t, writer)
	before.waitForSecrets(t, hostileSecrets)
	assertGrowth(t, "a cache that watches", base, heapInUse())
	if kept := before.secretBytes(t); kept < hostileSecrets*100 || kept > maxGrowth {
		t.Errorf("the metric counts %.0f bytes", kept)
	}
	before.stop()

	for name, old := range map[string]bool{"a cache that starts": false, "a cache that starts where lists are not streamed": true} {
		base := heapInUse()
		after := startCache(t, c.Admin, old)
		assertGrowth(t, name+", at its peak", base, after.waitForSecrets(t, hostileSecrets))
		assertGrowth(t, name, base, heapInUse())
		after.stop()
	}
}

func createHostileSecrets(t *testing.T, to client.Client) {
	t.Helper()
	type job struct {
		name     string
		disguise func(*corev1.Secret)
	}
	jobs := make(chan job)
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for j := range jobs {
				if err := to.Create(t.Context(), hostileSecret(j.name, j.disguise)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for made := 0; made < hostileSecrets; {
		for _, disguise := range hostileDisguises {
			if made < hostileSecrets {
				jobs <- job{fmt.Sprintf("hostile-%d", made), disguise}
				made++
			}
		}
	}
	close(jobs)
	workers.Wait()
}

// hostileSecret returns a Secret with the marks of a token's Secret. Its owner does not exist.
func hostileSecret(name string, disguise func(*corev1.Secret)) *corev1.Secret {
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
		Namespace: "default", Name: name,
		Labels:      map[string]string{v1alpha1.LabelManaged: "true", v1alpha1.LabelToken: "indexer"},
		Annotations: map[string]string{},
		OwnerReferences: []metav1.OwnerReference{{
			APIVersion: v1alpha1.GroupVersion.String(), Kind: "ApplicationToken", Name: "indexer", UID: "0", Controller: new(true),
		}},
	}}
	disguise(s)
	return s
}

// testCache is the cache of an operator, with the metric of the bytes that it keeps.
type testCache struct {
	cache.Cache
	metric *prometheus.GaugeVec
	stop   context.CancelFunc
}

// startCache starts the cache of an operator. If old is set, its API server does not stream lists.
func startCache(t *testing.T, to *rest.Config, old bool) *testCache {
	t.Helper()
	options, kept := app.CacheOptions(options.Options{Namespace: "default"})
	if inner := options.NewInformer; old {
		options.NewInformer = func(lw toolscache.ListerWatcher, obj apiruntime.Object, d time.Duration, x toolscache.Indexers) toolscache.SharedIndexInformer {
			plain := lw.(*toolscache.ListWatch) //nolint:forcetypeassert // controller-runtime's type
			watches := plain.WatchFuncWithContext
			plain.WatchFuncWithContext = func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
				if o.SendInitialEvents != nil {
					return nil, apierrors.NewInvalid(schema.GroupKind{Kind: "ListOptions"}, "", nil)
				}
				return watches(ctx, o)
			}
			return inner(lw, obj, d, x)
		}
	}
	c, err := cache.New(to, options)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Start(ctx) }()
	tc := &testCache{Cache: c, metric: kept, stop: func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}}
	t.Cleanup(stop)
	if _, err := c.GetInformer(ctx, &corev1.Secret{}, cache.BlockUntilSynced(false)); err != nil {
		t.Fatal(err)
	}
	return tc
}

// secretBytes returns the bytes that the metric counts for Secrets.
func (c *testCache) secretBytes(t *testing.T) float64 {
	t.Helper()
	var m dto.Metric
	if err := c.metric.WithLabelValues("Secret").Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetGauge().GetValue()
}

// waitForSecrets waits until the cache has n Secrets, and returns the largest heap until then.
func (c *testCache) waitForSecrets(t *testing.T, n int) (peak uint64) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), time.Millisecond, 2*time.Minute, true, func(ctx context.Context) (bool, error) {
		peak = max(peak, heapInUse())
		var list corev1.SecretList
		asking, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
		defer cancel()
		if err := c.List(asking, &list, client.UnsafeDisableDeepCopy); err != nil {
			return false, nil // it has not synced yet
		}
		return len(list.Items) == n, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return peak
}

// heapInUse returns the bytes in use on the heap.
func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func assertGrowth(t *testing.T, what string, before, after uint64) {
	t.Helper()
	growth := int64(after) - int64(before)
	t.Logf("%s grows by %.1f MiB", what, float64(growth)/(1<<20))
	if growth > maxGrowth {
		t.Errorf("%s grows by %d MiB under %d hostile Secrets", what, growth>>20, hostileSecrets)
	}
}

// The operator reads from the cache what the cache keeps whole, so it must be as the operator wrote
// it.
func TestCache_CountsBytesUntilDeletion(t *testing.T) {
	c := startCache(t, testCluster.Admin, false)
	await := func(what string, ok func(float64) bool) {
		t.Helper()
		err := wait.PollUntilContextTimeout(t.Context(), time.Millisecond, time.Minute, true, func(context.Context) (bool, error) { return ok(c.secretBytes(t)), nil })
		if err != nil {
			t.Fatalf("%s: the metric counts %.0f bytes", what, c.secretBytes(t))
		}
	}
	s := hostileSecret("counted", func(s *corev1.Secret) { s.Data = map[string][]byte{"token": []byte(strings.Repeat("x", 10_000))} })
	if err := api.Create(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	await("a Secret of a token is kept", func(n float64) bool { return n > 10_000 && n < 12_000 })
	var found corev1.Secret
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(s), &found); err != nil || len(found.Data["token"]) != 10_000 {
		t.Fatalf("the cache has %d bytes of it: %v", len(found.Data["token"]), err)
	}
	s.Data["more"] = megabyte
	if err := api.Update(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	await("it has grown too large", func(n float64) bool { return n > 0 && n < 2000 })
	if err := api.Delete(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	await("it is gone", func(n float64) bool { return n == 0 })
}

func TestCache_HostileApplicationTokensStayWithinBound(t *testing.T) {
	const tokens, each = 100, 64 << 10
	template := v1alpha1.Template("{{ .Token }}" + strings.Repeat("語", 4000))
	data := map[string]v1alpha1.Template{}
	for i := range 32 {
		data[fmt.Sprintf("key-%d", i)] = template
	}
	c := startCache(t, testCluster.Admin, false)
	if _, err := c.GetInformer(t.Context(), &v1alpha1.ApplicationToken{}); err != nil {
		t.Fatal(err)
	}
	base := heapInUse()
	for i := range tokens {
		at := &v1alpha1.ApplicationToken{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "default", Name: fmt.Sprintf("hostile-%d", i), Labels: map[string]string{"team": "hostile"},
				Annotations: map[string]string{v1alpha1.AnnotationRotate: strings.Repeat("a", 120<<10), "example.com/x": strings.Repeat("b", 120<<10)},
			},
			Spec: v1alpha1.ApplicationTokenSpec{
				ClientRef: &v1alpha1.Reference{Name: "absent"}, Roles: []v1alpha1.RoleName{"primary"}, Secret: v1alpha1.SecretTemplate{Name: "named", Data: maps.Clone(data)},
			},
		}
		if err := api.Create(t.Context(), at); err != nil {
			t.Fatal(err)
		}
		name := at.Name // all that is kept of it here
		t.Cleanup(func() {
			at := &v1alpha1.ApplicationToken{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
			// The test's own context is over by now.
			if err := api.Delete(context.Background(), at); err != nil {
				t.Error(err)
			}
		})
	}
	var list v1alpha1.ApplicationTokenList
	err := wait.PollUntilContextTimeout(t.Context(), time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		err := c.List(ctx, &list, client.InNamespace("default"), client.UnsafeDisableDeepCopy)
		return len(list.Items) == tokens, err
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range list.Items {
		if at := &list.Items[i]; at.Spec.ClientRef.Name != "absent" || len(at.Spec.Roles) != 1 || at.Spec.Secret.Name != "named" {
			t.Fatal("the cache lost what is read of every token")
		}
	}
	list = v1alpha1.ApplicationTokenList{}
	var growth int64 // other goroutines soon release what they hold of the writes and events
	err = wait.PollUntilContextTimeout(t.Context(), time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
		growth = int64(heapInUse()) - int64(base)
		return growth <= tokens*each, nil
	})
	if err != nil {
		t.Errorf("a cache grows by %d KiB for each hostile ApplicationToken", growth>>10/tokens)
	}
}
