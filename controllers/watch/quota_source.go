package watch

import (
	"context"
	"errors"

	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/apptoken/operator/internal/directory"
	"github.com/apptoken/operator/internal/quota"
)

// QuotaSource is a source of a controller. No worker starts before every token was counted. If
// Limits is set, tokens that get quota which became free are enqueued.
type QuotaSource struct {
	Quota  *directory.Quota
	Limits func(client string, namespaces []string) (quota.Limits, bool)
}

// Start implements source.Source.
func (s QuotaSource) Start(_ context.Context, q RequestQueue) error {
	if s.Limits == nil {
		return nil
	}
	s.Quota.Elect(s.Limits, func(keys []quota.Key) {
		requests := make([]reconcile.Request, len(keys))
		for i, k := range keys {
			requests[i].NamespacedName = types.NamespacedName(k)
		}
		AddRequests(q, PriorityNew, requests...)
	})
	return nil
}

// WaitForSync implements source.SyncingSource.
func (s QuotaSource) WaitForSync(ctx context.Context) error {
	if s.Quota.Synced != nil && !toolscache.WaitForCacheSync(ctx.Done(), s.Quota.Synced) {
		return errors.New("the tokens were not counted in time")
	}
	return nil
}
