package controllers

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
	"github.com/apptoken/operator/internal/quota"
)

// quotaSource is a source of a controller. No worker starts before every token was counted. If
// limits is set, tokens that get quota which became free are enqueued.
type quotaSource struct {
	quota  *Quota
	limits func(client string, namespaces []string) (quota.Limits, bool)
}

// Start implements source.Source.
func (s quotaSource) Start(_ context.Context, q queue) error {
	if s.limits == nil {
		return nil
	}
	s.quota.Elect(s.limits, func(keys []quota.Key) {
		requests := make([]reconcile.Request, len(keys))
		for i, k := range keys {
			requests[i].NamespacedName = types.NamespacedName(k)
		}
		add(q, priorityNew, requests...)
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

// clientChanged enqueues the tokens of a client that has changed. If only its quota has changed, it
// enqueues those waiting tokens that get quota now.
func (r *ApplicationTokens) clientChanged() handler.EventHandler {
	all := lowPriority(r.tokensOfClient).(handler.Funcs)
	every := all.UpdateFunc
	all.UpdateFunc = func(ctx context.Context, e event.UpdateEvent, q queue) {
		before, ok1 := e.ObjectOld.(*v1alpha1.Client)
		now, ok2 := e.ObjectNew.(*v1alpha1.Client)
		if ok1 && ok2 && equality.Semantic.DeepEqual(withoutQuota(before), withoutQuota(now)) {
			r.Quota.allocate(now.Name)
			return
		}
		every(ctx, e, q)
	}
	return all
}

// withoutQuota returns the spec of a client without its limits.
func withoutQuota(c *v1alpha1.Client) *v1alpha1.ClientSpec {
	spec := c.Spec.DeepCopy()
	spec.Tokens.MaxCount, spec.Tokens.MaxCountPerUser = nil, nil
	for i := range spec.Grants {
		spec.Grants[i].MaxCount = nil
	}
	return spec
}
