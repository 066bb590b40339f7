package app

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	toolscache "k8s.io/client-go/tools/cache"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/controllers"
	"github.com/apptoken/operator/internal/freshness"
)

// listPage is the page size of lists of tenants' objects. Each object may take a megabyte until it
// is trimmed.
const listPage = 8

// listed is a client that does not support streamed lists.
type listed struct{}

// IsWatchListSemanticsUnSupported returns true, so that reflectors do not stream lists as events.
func (listed) IsWatchListSemanticsUnSupported() bool { return true }

// verifiedFrom holds the kinds in the operator's cache whose watches keep the state for
// verification up to date. The Secrets of passwords are in another cache.
var verifiedFrom = append([]string{"Namespace"}, custom...)

// custom holds the operator's custom kinds. An API server has a watch cache for all of them or for
// none; for built-in kinds it decides by kind.
var custom = []string{"TokenRecord", "Client", "User", "ApplicationToken"}

// informers creates the informers of caches. They count the bytes that they keep, and observe
// whether their watches deliver.
//
// The initial records come as one list. As a stream of events, which is the default, a hundred
// thousand records take three times as long. Until they are read the replica is not ready. Objects
// of tenants come as a stream, or in pages from an API server that does not stream lists. So each
// is trimmed before many of them are in memory.
type informers struct {
	cached   *prometheus.GaugeVec
	watches  *freshness.Watches
	lasts    time.Duration // how long one connection of a watch lasts
	prompted bool          // a read makes the API server send a bookmark
}

// ofOperator returns an informer for the operator's cache.
func (i informers) ofOperator(lw toolscache.ListerWatcher, obj runtime.Object, resync time.Duration, indexers toolscache.Indexers) toolscache.SharedIndexInformer {
	kind := kindOf(obj)
	list := listOf(lw)
	if plain, ok := lw.(*toolscache.ListWatch); ok {
		switch obj.(type) {
		case *v1alpha1.TokenRecord:
			lw = toolscache.ToListWatcherWithWatchListSemantics(plain, listed{})
		case *v1alpha1.ApplicationToken, *corev1.Secret:
			plain.ListWithContextFunc = inPages(plain.ListWithContextFunc, controllers.TrimForCache)
		}
	}
	if slices.Contains(verifiedFrom, kind) {
		family := kind
		if slices.Contains(custom, kind) {
			family = v1alpha1.GroupVersion.Group
		}
		lw = i.watched(lw, list, kind, family)
	} else {
		lw = newReconnecting(lw, kind)
	}
	return i.counted(kind, toolscache.NewSharedIndexInformer(lw, obj, resync, indexers))
}

// ofPasswords returns an informer for the cache of passwords.
func (i informers) ofPasswords(lw toolscache.ListerWatcher, obj runtime.Object, resync time.Duration, indexers toolscache.Indexers) toolscache.SharedIndexInformer {
	list := listOf(lw)
	if plain, ok := lw.(*toolscache.ListWatch); ok {
		plain.ListWithContextFunc = inPages(plain.ListWithContextFunc, controllers.TrimPassword)
	}
	return i.counted("Password", toolscache.NewSharedIndexInformer(i.watched(lw, list, "Secret", "Secret"), obj, resync, indexers))
}

// listOf returns the list function of lw before it is made to list in pages.
func listOf(lw toolscache.ListerWatcher) toolscache.ListWithContextFunc {
	if plain, ok := lw.(*toolscache.ListWatch); ok && plain.ListWithContextFunc != nil {
		return plain.ListWithContextFunc
	}
	return toolscache.ToListerWatcherWithContext(lw).ListWithContext
}

func (i informers) watched(lw toolscache.ListerWatcher, list toolscache.ListWithContextFunc, kind, family string) *watched {
	return &watched{
		reconnecting: newReconnecting(lw, kind), list: list, notes: i.watches.Add(kind, family),
		lasts: i.lasts, prompted: i.prompted, now: time.Now,
	}
}

func newReconnecting(lw toolscache.ListerWatcher, kind string) *reconnecting {
	return &reconnecting{of: toolscache.ToListerWatcherWithContext(lw), kind: kind, log: ctrl.Log.WithName("freshness")}
}

func (i informers) counted(kind string, informer toolscache.SharedIndexInformer) toolscache.SharedIndexInformer {
	countBytes(informer, i.cached.WithLabelValues(kind))
	return informer
}

// inPages returns a function that lists page by page, and trims each page before it reads the next.
func inPages(list toolscache.ListWithContextFunc, trim toolscache.TransformFunc) toolscache.ListWithContextFunc {
	return func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		// The watch cache of older API servers ignores the limit if the request has a resource
		// version.
		o.Limit, o.Continue, o.ResourceVersion, o.ResourceVersionMatch = listPage, "", "", ""
		var all []runtime.Object
		for {
			page, err := list(ctx, o)
			if err != nil {
				return nil, err
			}
			err = meta.EachListItem(page, func(obj runtime.Object) error {
				_, err := trim(obj)
				all = append(all, obj)
				return err
			})
			if err != nil {
				return nil, fmt.Errorf("trim a page of the list: %w", err)
			}
			position, err := meta.ListAccessor(page)
			if err != nil {
				return nil, fmt.Errorf("read where a page of the list ends: %w", err)
			}
			if o.Continue = position.GetContinue(); o.Continue == "" {
				position.SetRemainingItemCount(nil)
				return page, meta.SetList(page, all)
			}
		}
	}
}

// kindOf returns the kind of an object.
func kindOf(obj runtime.Object) string {
	if kind := obj.GetObjectKind().GroupVersionKind().Kind; kind != "" {
		return kind
	}
	return reflect.TypeOf(obj).Elem().Name()
}

// countBytes adds the bytes that an informer keeps to a gauge.
func countBytes(informer toolscache.SharedIndexInformer, kept prometheus.Gauge) {
	add := func(sign int, obj any) {
		if gone, ok := obj.(toolscache.DeletedFinalStateUnknown); ok {
			obj = gone.Obj
		}
		kept.Add(float64(sign * controllers.CachedBytes(obj)))
	}
	_, _ = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{ //nolint:errcheck // it fails only for an informer that has stopped
		AddFunc:    func(obj any) { add(1, obj) },
		UpdateFunc: func(was, obj any) { add(-1, was); add(1, obj) },
		DeleteFunc: func(obj any) { add(-1, obj) },
	})
}
