package app

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	toolscache "k8s.io/client-go/tools/cache"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/controllers"
)

// listPage is how many objects of tenants a list reads at once. Each may have a megabyte until it is trimmed.
const listPage = 8

type informerFunc = func(toolscache.ListerWatcher, runtime.Object, time.Duration, toolscache.Indexers) toolscache.SharedIndexInformer

// listed is a client whose lists come as lists.
type listed struct{}

// IsWatchListSemanticsUnSupported keeps lists from being streamed as events.
func (listed) IsWatchListSemanticsUnSupported() bool { return true }

// newInformer returns what makes the informers of a cache. They count the bytes that they keep under the kind of the object,
// or under the one that is given.
//
// The records come as one list at the start. As a stream of events, which is the default, a hundred thousand of them take
// three times the time to read, and until they are read this replica is not ready. Objects of tenants come as a stream, and
// page by page from an API server that streams no lists, so that each is trimmed before many of them are in memory.
func newInformer(cached *prometheus.GaugeVec, kind string) informerFunc {
	return func(lw toolscache.ListerWatcher, obj runtime.Object, resync time.Duration, indexers toolscache.Indexers) toolscache.SharedIndexInformer {
		if plain, ok := lw.(*toolscache.ListWatch); ok {
			switch obj.(type) {
			case *v1alpha1.TokenRecord:
				lw = toolscache.ToListWatcherWithWatchListSemantics(plain, listed{})
			case *v1alpha1.ApplicationToken:
				plain.ListWithContextFunc = inPages(plain.ListWithContextFunc, controllers.TrimForCache)
			case *corev1.Secret:
				trim := controllers.TrimForCache
				if kind != "" {
					trim = controllers.TrimPassword
				}
				plain.ListWithContextFunc = inPages(plain.ListWithContextFunc, trim)
			}
		}
		informer := toolscache.NewSharedIndexInformer(lw, obj, resync, indexers)
		if kind != "" {
			countBytes(informer, cached.WithLabelValues(kind))
		} else {
			countBytes(informer, cached.WithLabelValues(kindOf(obj)))
		}
		return informer
	}
}

// inPages returns a function that lists page by page and trims each page before it reads the next.
func inPages(list toolscache.ListWithContextFunc, trim toolscache.TransformFunc) toolscache.ListWithContextFunc {
	return func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		// The watch cache of older API servers ignores the limit where a version is asked for.
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

// kindOf names the kind of an object.
func kindOf(obj runtime.Object) string {
	if kind := obj.GetObjectKind().GroupVersionKind().Kind; kind != "" {
		return kind
	}
	return reflect.TypeOf(obj).Elem().Name()
}

// countBytes adds to a gauge what an informer keeps.
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
