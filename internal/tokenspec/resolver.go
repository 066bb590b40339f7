package tokenspec

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/plan"
	"github.com/apptoken/operator/internal/record/kube"
)

// Resolver resolves the references of a token. It reads from the API server what the cache may not
// have yet.
type Resolver struct {
	Client  client.Client // reads may be from a cache
	Live    client.Reader // reads are from the API server
	Records *kube.Store
}

// Resolve reads what a token depends on: its client, its user, its namespace and its source.
func (r Resolver) Resolve(ctx context.Context, at *v1alpha1.ApplicationToken) (References, error) {
	refs := References{DeliveredInResponse: DeliveredInResponse(at, r.Records.Namespace())}
	var err error
	switch {
	case at.Spec.ClientRef != nil:
		refs.Requested = requestedBySpec(at)
	case at.Spec.CloneFrom != nil:
		if refs.Requested, refs.refusal, err = r.resolveClone(ctx, at); err != nil || refs.refusal != nil {
			return refs, err
		}
	case at.Spec.UserRef != nil:
		if refs.user, refs.Requested, err = r.ResolveUser(ctx, at, refs.DeliveredInResponse); err != nil || refs.Requested.Client == "" {
			return refs, err
		}
	default:
		refs.refusal = &plan.Refusal{Reason: v1alpha1.ReasonInvalidSpec, Message: "The spec names neither a client nor a user; set spec.clientRef or spec.userRef"}
		return refs, nil
	}
	if refs.needsGrant() {
		if refs.namespaceLabels, err = r.namespaceLabels(ctx, at.Namespace); err != nil {
			return refs, err
		}
	}
	if refs.Client, err = r.findClient(ctx, refs.Requested.Client, func(c *v1alpha1.Client) bool { return refs.isGranted(at, c) }); err != nil {
		return refs, err
	}
	if refs.Client == nil && !refs.needsGrant() {
		refs.refusal = &plan.Refusal{Reason: v1alpha1.ReasonClientMissing, Message: fmt.Sprintf("There is no Client %q; correct %s, or ask the platform team to create it", refs.Requested.Client, clientFieldPath(at))}
	}
	return refs, nil
}

// findClient reads a Client; nil: there is none. If the cache does not have it, or has a version
// that does not suffice, findClient reads it from the API server: it may have been applied together
// with the token. Both cases cost the same, so that timing does not reveal to a namespace
// without a grant which of them it is.
func (r Resolver) findClient(ctx context.Context, name string, suffices func(*v1alpha1.Client) bool) (*v1alpha1.Client, error) {
	c, key := &v1alpha1.Client{}, types.NamespacedName{Name: name}
	err := r.Client.Get(ctx, key, c)
	if apierrors.IsNotFound(err) || err == nil && !suffices(c) {
		c = &v1alpha1.Client{}
		err = r.Live.Get(ctx, key, c)
	}
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get Client %s: %w", name, err)
	}
	return c, nil
}

// needsGrant reports whether the client has to grant something to the namespace of the token. A
// token of a user instead has to be in a namespace that the user lists. A token that is made over
// HTTP is in the operator's own namespace.
func (refs References) needsGrant() bool {
	return refs.Requested.Client != "" && refs.Requested.User == "" && !refs.DeliveredInResponse
}

// isGranted reports whether a client grants the token's namespace what it needs. c is nil if there
// is no such client.
func (refs References) isGranted(at *v1alpha1.ApplicationToken, c *v1alpha1.Client) bool {
	if !refs.needsGrant() {
		return true
	}
	if c == nil {
		return false
	}
	_, granted := DrawableRoles(c, at.Namespace, refs.namespaceLabels)
	return granted
}

func (r Resolver) namespaceLabels(ctx context.Context, name string) (map[string]string, error) {
	var ns metav1.PartialObjectMetadata
	ns.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	if err := r.Client.Get(ctx, types.NamespacedName{Name: name}, &ns); err != nil {
		return nil, fmt.Errorf("get Namespace %s: %w", name, err)
	}
	return ns.Labels, nil
}

// clientFieldPath returns the path of the field that names the client of a token.
func clientFieldPath(at *v1alpha1.ApplicationToken) string {
	if at.Spec.UserRef != nil {
		return "spec.userRef.client"
	}
	return "spec.clientRef"
}
