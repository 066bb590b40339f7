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
	s := References{DeliveredInResponse: DeliveredInResponse(at, r.Records.Namespace())}
	var err error
	switch {
	case at.Spec.ClientRef != nil:
		s.Requested = requestedBySpec(at)
	case at.Spec.CloneFrom != nil:
		if s.Requested, s.refusal, err = r.resolveClone(ctx, at); err != nil || s.refusal != nil {
			return s, err
		}
	case at.Spec.UserRef != nil:
		if s.user, s.Requested, err = r.ResolveUser(ctx, at, s.DeliveredInResponse); err != nil || s.Requested.Client == "" {
			return s, err
		}
	default:
		s.refusal = &plan.Refusal{Reason: v1alpha1.ReasonInvalidSpec, Message: "The spec names neither a client nor a user; set spec.clientRef or spec.userRef"}
		return s, nil
	}
	if s.needsGrant() {
		if s.namespaceLabels, err = r.namespaceLabels(ctx, at.Namespace); err != nil {
			return s, err
		}
	}
	if s.Client, err = r.findClient(ctx, s.Requested.Client, func(c *v1alpha1.Client) bool { return s.isGranted(at, c) }); err != nil {
		return s, err
	}
	if s.Client == nil && !s.needsGrant() {
		s.refusal = &plan.Refusal{Reason: v1alpha1.ReasonClientMissing, Message: fmt.Sprintf("There is no Client %q; correct %s, or ask the platform team to create it", s.Requested.Client, clientFieldPath(at))}
	}
	return s, nil
}

// findClient reads a Client; nil: there is none. If the cache does not have it, or has a version
// that does not suffice, findClient reads it from the API server: it may have been applied together
// with the token. Both cases cost the same, so that timing does not tell a namespace without a
// grant which of them it is.
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
func (s References) needsGrant() bool {
	return s.Requested.Client != "" && s.Requested.User == "" && !s.DeliveredInResponse
}

// isGranted reports whether a client grants the token's namespace what it needs. c is nil if there
// is no such client.
func (s References) isGranted(at *v1alpha1.ApplicationToken, c *v1alpha1.Client) bool {
	if !s.needsGrant() {
		return true
	}
	if c == nil {
		return false
	}
	_, granted := DrawableRoles(c, at.Namespace, s.namespaceLabels)
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
