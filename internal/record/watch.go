package record

import (
	toolscache "k8s.io/client-go/tools/cache"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/token"
)

// keeper receives records, and the digests of those that are gone.
type keeper interface {
	Set(r Record)
	Remove(d token.Digest)
	// Removed receives the whole record of a digest that Remove was called with.
	Removed(r Record)
}

// Feed returns the handler of a watch on TokenRecords. It passes on each record in its current
// state. It leaves out a TokenRecord that cannot be parsed, because it vouches for nothing. It also
// leaves out one that was deleted, even if a finalizer still holds it.
func Feed(x keeper) toolscache.ResourceEventHandler {
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) {
			if r, ok := vouched(obj); ok {
				x.Set(r)
			}
		},
		UpdateFunc: func(before, obj any) {
			r, ok := vouched(obj)
			// After a gap in the watch, an update can be about another record under the same name.
			if was, known := read(before); known && (!ok || was.Digest != r.Digest) {
				x.Remove(was.Digest)
				x.Removed(was)
			}
			if ok {
				x.Set(r)
			}
		},
		DeleteFunc: func(obj any) {
			if gone, ok := obj.(toolscache.DeletedFinalStateUnknown); ok {
				obj = gone.Obj
			}
			if r, ok := read(obj); ok {
				x.Remove(r.Digest)
				x.Removed(r)
			}
		},
	}
}

// vouched parses a TokenRecord that vouches for a credential.
func vouched(obj any) (Record, bool) {
	r, ok := read(obj)
	return r, ok && !deleted(obj.(*v1alpha1.TokenRecord))
}

func read(obj any) (Record, bool) {
	t, ok := obj.(*v1alpha1.TokenRecord)
	if !ok {
		return Record{}, false
	}
	r, err := FromObject(t)
	return r, err == nil
}
