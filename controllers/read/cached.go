package read

import (
	"context"
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// maxCacheWait bounds how long a read waits until the cache has observed the operator's own writes.
// It never observes a Secret from which an admission webhook removed the label by which Secrets are
// watched.
const maxCacheWait = 5 * time.Second

// Cached reads an object from a cache. It reports whether the cache is behind: it did not observe
// the operator's own writes in time.
func Cached(ctx context.Context, from client.Reader, key types.NamespacedName, obj client.Object) (behind bool, err error) {
	wait, stop := context.WithTimeout(ctx, maxCacheWait)
	defer stop()
	err = from.Get(wait, key, obj)
	return errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil, err
}
