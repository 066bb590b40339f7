package directory

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/tokenspec"
	"github.com/apptoken/operator/internal/verify"
)

// NewOwnerHandler returns the event handler of a watch on ApplicationTokens. It sets in the
// verifier which of them allow their credentials to be used, and whether their namespaces need a
// grant for it. It does not wait until the records show that: only the replica that reconciles
// writes them.
func NewOwnerHandler(x *verify.Index, own string) toolscache.ResourceEventHandler {
	set := func(obj any) {
		at, ok := obj.(*v1alpha1.ApplicationToken)
		switch {
		case !ok:
		case !at.DeletionTimestamp.IsZero() || at.Spec.State != v1alpha1.TokenActive:
			x.Disable(tokenspec.OwnerOf(at))
		case tokenspec.DeliveredInResponse(at, own):
			x.EnableExempt(tokenspec.OwnerOf(at))
		default:
			x.Enable(tokenspec.OwnerOf(at))
		}
	}
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc:    set,
		UpdateFunc: func(_, obj any) { set(obj) },
		DeleteFunc: func(obj any) {
			if at, ok := lastKnownState(obj).(*v1alpha1.ApplicationToken); ok {
				x.Disable(tokenspec.OwnerOf(at))
			}
		},
	}
}

// NewNamespaceHandler returns the event handler of a watch on the metadata of namespaces. It sets
// their labels in the verifier, by which Clients grant.
func NewNamespaceHandler(x *verify.Index) toolscache.ResourceEventHandler {
	set := func(obj any) {
		if ns, ok := obj.(*metav1.PartialObjectMetadata); ok {
			x.SetNamespace(ns.Name, ns.Labels)
		}
	}
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc:    set,
		UpdateFunc: func(_, obj any) { set(obj) },
		DeleteFunc: func(obj any) {
			if ns, ok := lastKnownState(obj).(*metav1.PartialObjectMetadata); ok {
				x.RemoveNamespace(ns.Name)
			}
		},
	}
}
