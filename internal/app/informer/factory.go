package informer

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
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/directory"
	"github.com/apptoken/operator/internal/freshness"
)

// listPageSize is the page size of lists of tenants' objects. Each object may take a megabyte until
// it is trimmed.
const listPageSize = 8

// noWatchList is a client that does not support streamed lists.
type noWatchList struct{}

// IsWatchListSemanticsUnSupported returns true, so that reflectors do not stream lists as events.
func (noWatchList) IsWatchListSemanticsUnSupported() bool { return true }

// verificationKinds holds the kinds in the operator's cache whose watches keep the state for
// verification up to date. The Secrets of passwords are in another cache.
var verificationKinds = append([]string{"Namespace"}, customKinds...)

// customKinds holds the operator's custom kinds. An API server has a watch cache for all of them or
// for none; for built-in kinds it decides by kind.
var customKinds = []string{"TokenRecord", "Client", "User", "ApplicationToken"}

// Factory creates the informers of caches. They count the bytes that they keep, and observe
// whether their watches deliver.
//
// The initial records come as one list. As a stream of events, which is the default, a hundred
// thousand records take three times as long. Until they are read the replica is not ready. Objects
// of tenants come as a stream, or in pages from an API server that does not stream lists. So each
// is trimmed before many of them are in memory.
type Factory struct {
	Cached               *prometheus.GaugeVec // the metric of the bytes that the caches keep, by kind
	Watches              *freshness.Watches
	Limits               freshness.Limits
	ReadsPromptBookmarks bool // a read makes the API server send a bookmark; see ReadsPromptBookmarks
}

// NewForOperator returns an informer for the operator's cache.
func (f Factory) NewForOperator(lw toolscache.ListerWatcher, obj runtime.Object, resync time.Duration, indexers toolscache.Indexers) toolscache.SharedIndexInformer {
	kind := kindOf(obj)
	list := unpagedList(lw)
	if plain, ok := lw.(*toolscache.ListWatch); ok {
		switch obj.(type) {
		case *v1alpha1.TokenRecord:
			lw = toolscache.ToListWatcherWithWatchListSemantics(plain, noWatchList{})
		case *v1alpha1.ApplicationToken, *corev1.Secret:
			plain.ListWithContextFunc = listInPages(plain.ListWithContextFunc, directory.TrimForCache)
		}
	}
	if slices.Contains(verificationKinds, kind) {
		family := kind
		if slices.Contains(customKinds, kind) {
			family = v1alpha1.GroupVersion.Group
		}
		lw = f.newMonitored(lw, list, kind, family)
	} else {
		lw = newReconnectingListWatch(lw, kind)
	}
	return f.withByteCount(kind, toolscache.NewSharedIndexInformer(lw, obj, resync, indexers))
}

// NewForPasswords returns an informer for the cache of passwords.
func (f Factory) NewForPasswords(lw toolscache.ListerWatcher, obj runtime.Object, resync time.Duration, indexers toolscache.Indexers) toolscache.SharedIndexInformer {
	list := unpagedList(lw)
	if plain, ok := lw.(*toolscache.ListWatch); ok {
		plain.ListWithContextFunc = listInPages(plain.ListWithContextFunc, directory.TrimPassword)
	}
	return f.withByteCount("Password", toolscache.NewSharedIndexInformer(f.newMonitored(lw, list, "Secret", "Secret"), obj, resync, indexers))
}

// unpagedList returns the list function of lw before it is made to list in pages.
func unpagedList(lw toolscache.ListerWatcher) toolscache.ListWithContextFunc {
	if plain, ok := lw.(*toolscache.ListWatch); ok && plain.ListWithContextFunc != nil {
		return plain.ListWithContextFunc
	}
	return toolscache.ToListerWatcherWithContext(lw).ListWithContext
}

func (f Factory) newMonitored(lw toolscache.ListerWatcher, list toolscache.ListWithContextFunc, kind, family string) *monitoredListWatch {
	return &monitoredListWatch{
		reconnectingListWatch: newReconnectingListWatch(lw, kind), unpagedList: list, evidence: f.Watches.Add(kind, family),
		timeout: watchTimeoutOf(f.Limits), readsPromptBookmarks: f.ReadsPromptBookmarks, now: time.Now,
	}
}

func newReconnectingListWatch(lw toolscache.ListerWatcher, kind string) *reconnectingListWatch {
	return &reconnectingListWatch{source: toolscache.ToListerWatcherWithContext(lw), kind: kind, log: ctrl.Log.WithName("freshness")}
}

func (f Factory) withByteCount(kind string, informer toolscache.SharedIndexInformer) toolscache.SharedIndexInformer {
	countBytes(informer, f.Cached.WithLabelValues(kind))
	return informer
}

// listInPages returns a function that lists page by page, and trims each page before it reads the
// next.
func listInPages(list toolscache.ListWithContextFunc, trim toolscache.TransformFunc) toolscache.ListWithContextFunc {
	return func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		// The watch cache of older API servers ignores the limit if the request has a resource
		// version.
		o.Limit, o.Continue, o.ResourceVersion, o.ResourceVersionMatch = listPageSize, "", "", ""
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
		kept.Add(float64(sign * directory.CachedBytes(obj)))
	}
	_, _ = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{ //nolint:errcheck // it fails only for an informer that has stopped
		AddFunc:    func(obj any) { add(1, obj) },
		UpdateFunc: func(was, obj any) { add(-1, was); add(1, obj) },
		DeleteFunc: func(obj any) { add(-1, obj) },
	})
}

// ReadsPromptBookmarks reports whether the API server answers reads of a few objects from its watch
// cache, as Kubernetes does since 1.34. Such a read brings the watch cache up to date, so that
// watches on kinds that do not change get bookmarks too.
func ReadsPromptBookmarks(to *rest.Config) bool {
	d, err := discovery.NewDiscoveryClientForConfig(to)
	if err != nil {
		return false
	}
	found, err := d.ServerVersion()
	if err != nil {
		return false
	}
	is, err := version.ParseGeneric(found.GitVersion)
	return err == nil && is.AtLeast(version.MajorMinor(1, 34))
}
