package kube

import (
	toolscache "k8s.io/client-go/tools/cache"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

// sink receives records, and the digests of those that are gone.
type sink interface {
	Set(r record.Record)
	Remove(d token.Digest)
	// RememberDeleted receives the whole record of a digest that Remove was called with.
	RememberDeleted(r record.Record)
}

// NewEventHandler returns the event handler of a watch on TokenRecords. It passes each record in
// its current state to a sink. It leaves out a TokenRecord that cannot be parsed, because it
// vouches for nothing. It also leaves out one that was deleted, even if a finalizer delays its
// removal.
func NewEventHandler(to sink) toolscache.ResourceEventHandler {
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) {
			if r, ok := readUndeleted(obj); ok {
				to.Set(r)
			}
		},
		UpdateFunc: func(before, obj any) {
			r, ok := readUndeleted(obj)
			// After a gap in the watch, an update can be about another record under the same name.
			if was, known := readObject(before); known && (!ok || was.Digest != r.Digest) {
				to.Remove(was.Digest)
				to.RememberDeleted(was)
			}
			if ok {
				to.Set(r)
			}
		},
		DeleteFunc: func(obj any) {
			if gone, ok := obj.(toolscache.DeletedFinalStateUnknown); ok {
				obj = gone.Obj
			}
			if r, ok := readObject(obj); ok {
				to.Remove(r.Digest)
				to.RememberDeleted(r)
			}
		},
	}
}

// readUndeleted parses a TokenRecord. It returns false for one that vouches for nothing.
func readUndeleted(obj any) (record.Record, bool) {
	r, ok := readObject(obj)
	return r, ok && !IsDeleted(obj.(*v1alpha1.TokenRecord))
}

func readObject(obj any) (record.Record, bool) {
	t, ok := obj.(*v1alpha1.TokenRecord)
	if !ok {
		return record.Record{}, false
	}
	r, err := FromObject(t)
	return r, err == nil
}
