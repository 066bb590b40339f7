package applicationtoken

import (
	"context"
	"errors"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/controllers/watch"
	"github.com/apptoken/operator/internal/directory"
	"github.com/apptoken/operator/internal/quota"
)

// quotaSource is a source of a controller. No worker starts before every token was counted. If
// limits is set, tokens that get quota which became free are enqueued.
type quotaSource struct {
	quota  *directory.Quota
	limits func(client string, namespaces []string) (quota.Limits, bool)
}

// Start implements source.Source.
func (s quotaSource) Start(_ context.Context, q watch.RequestQueue) error {
	if s.limits == nil {
		return nil
	}
	s.quota.Elect(s.limits, func(keys []quota.Key) {
		requests := make([]reconcile.Request, len(keys))
		for i, k := range keys {
			requests[i].NamespacedName = types.NamespacedName(k)
		}
		watch.AddRequests(q, watch.PriorityNew, requests...)
	})
	return nil
}

// WaitForSync implements source.SyncingSource.
func (s quotaSource) WaitForSync(ctx context.Context) error {
	if s.quota.Synced != nil && !toolscache.WaitForCacheSync(ctx.Done(), s.quota.Synced) {
		return errors.New("the tokens were not counted in time")
	}
	return nil
}

// clientEventHandler enqueues the tokens of a client that has changed. If only its quota has
// changed, it enqueues those waiting tokens that get quota now.
func (r *Reconciler) clientEventHandler() handler.EventHandler {
	all := watch.LowPriorityHandler(r.tokensOfClient).(handler.Funcs)
	every := all.UpdateFunc
	all.UpdateFunc = func(ctx context.Context, e event.UpdateEvent, q watch.RequestQueue) {
		before, ok1 := e.ObjectOld.(*v1alpha1.Client)
		now, ok2 := e.ObjectNew.(*v1alpha1.Client)
		if ok1 && ok2 && equality.Semantic.DeepEqual(specWithoutQuota(before), specWithoutQuota(now)) {
			r.Quota.Allocate(now.Name)
			return
		}
		every(ctx, e, q)
	}
	return all
}

// specWithoutQuota returns the spec of a client without its limits.
func specWithoutQuota(c *v1alpha1.Client) *v1alpha1.ClientSpec {
	spec := c.Spec.DeepCopy()
	spec.Tokens.MaxCount, spec.Tokens.MaxCountPerUser = nil, nil
	for i := range spec.Grants {
		spec.Grants[i].MaxCount = nil
	}
	return spec
}
