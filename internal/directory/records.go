package directory

import (
	toolscache "k8s.io/client-go/tools/cache"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/record/kube"
	"github.com/apptoken/operator/internal/token"
)

// recordSink receives records, and the digests of those that are gone.
type recordSink interface {
	Set(r record.Record)
	Remove(d token.Digest)
	// RememberDeleted receives the whole record of a digest that Remove was called with.
	RememberDeleted(r record.Record)
}

// NewEventHandler returns the handler of a watch on TokenRecords. It passes on each record in its
// current state. It leaves out a TokenRecord that cannot be parsed, because it vouches for nothing.
// It also leaves out one that was deleted, even if a finalizer still holds it.
func NewEventHandler(x recordSink) toolscache.ResourceEventHandler {
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) {
			if r, ok := readLive(obj); ok {
				x.Set(r)
			}
		},
		UpdateFunc: func(before, obj any) {
			r, ok := readLive(obj)
			// After a gap in the watch, an update can be about another record under the same name.
			if was, known := readObject(before); known && (!ok || was.Digest != r.Digest) {
				x.Remove(was.Digest)
				x.RememberDeleted(was)
			}
			if ok {
				x.Set(r)
			}
		},
		DeleteFunc: func(obj any) {
			if gone, ok := obj.(toolscache.DeletedFinalStateUnknown); ok {
				obj = gone.Obj
			}
			if r, ok := readObject(obj); ok {
				x.Remove(r.Digest)
				x.RememberDeleted(r)
			}
		},
	}
}

// readLive parses a TokenRecord that vouches for a credential.
func readLive(obj any) (record.Record, bool) {
	r, ok := readObject(obj)
	return r, ok && !kube.IsDeleted(obj.(*v1alpha1.TokenRecord))
}

func readObject(obj any) (record.Record, bool) {
	t, ok := obj.(*v1alpha1.TokenRecord)
	if !ok {
		return record.Record{}, false
	}
	r, err := kube.FromObject(t)
	return r, err == nil
}
