package record

import (
	toolscache "k8s.io/client-go/tools/cache"

	"github.com/apptoken/operator/api/v1alpha1"
)

// Feed returns the handler of a watch on TokenRecords that keeps the index. A TokenRecord that cannot be read is not in
// the index: what nobody understands vouches for nothing.
func Feed(x *Index) toolscache.ResourceEventHandler {
	remove := func(obj any) {
		if gone, ok := obj.(toolscache.DeletedFinalStateUnknown); ok {
			obj = gone.Obj
		}
		if r, ok := read(obj); ok {
			x.Remove(r.Digest)
		}
	}
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) {
			if r, ok := read(obj); ok {
				x.Set(r)
			}
		},
		UpdateFunc: func(before, obj any) {
			if r, ok := read(obj); ok {
				x.Set(r)
			} else {
				remove(before)
			}
		},
		DeleteFunc: remove,
	}
}

func read(obj any) (Record, bool) {
	t, ok := obj.(*v1alpha1.TokenRecord)
	if !ok {
		return Record{}, false
	}
	r, err := FromObject(t)
	return r, err == nil
}
