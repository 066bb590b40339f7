package tokenspec

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/plan"
)

// maxCloneDepth bounds how many clones of clones are followed.
const maxCloneDepth = 16

// resolveClone returns what a clone asks for: the grants that it took over at its first issue, or
// otherwise what its source asks for now. It follows clones of clones. All of them are in one
// namespace, so that no reference leaves it.
func (r Resolver) resolveClone(ctx context.Context, at *v1alpha1.ApplicationToken) (RequestedGrants, *plan.Refusal, error) {
	if at.IsCloned() {
		return RequestedByClone(at.Status.Cloned), nil, nil
	}
	name := string(at.Spec.CloneFrom.Name)
	for range maxCloneDepth {
		if name == at.Name {
			return RequestedGrants{}, &plan.Refusal{
				Reason:  v1alpha1.ReasonCloneLoop,
				Message: "spec.cloneFrom: the chain of sources leads back to this token; give one of them a clientRef",
			}, nil
		}
		var source v1alpha1.ApplicationToken
		err := r.Client.Get(ctx, types.NamespacedName{Namespace: at.Namespace, Name: name}, &source)
		if apierrors.IsNotFound(err) {
			return RequestedGrants{}, &plan.Refusal{
				Reason:  v1alpha1.ReasonSourceMissing,
				Message: fmt.Sprintf("There is no ApplicationToken %q in namespace %s to clone; create it, or correct spec.cloneFrom", name, at.Namespace),
			}, nil
		}
		if err != nil {
			return RequestedGrants{}, nil, fmt.Errorf("get the source %s: %w", name, err)
		}
		switch {
		case !source.DeletionTimestamp.IsZero() || source.Spec.State != v1alpha1.TokenActive:
			return RequestedGrants{}, &plan.Refusal{
				Reason:  v1alpha1.ReasonSourceNotUsable,
				Message: fmt.Sprintf("ApplicationToken %s is suspended, revoked or being deleted; clone one that is Active", name),
			}, nil
		case source.Spec.ClientRef != nil:
			return requestedBySpec(&source), nil, nil
		case source.IsCloned():
			return RequestedByClone(source.Status.Cloned), nil, nil
		case source.Spec.CloneFrom == nil:
			return RequestedGrants{}, &plan.Refusal{
				Reason:  v1alpha1.ReasonSourceNotUsable,
				Message: fmt.Sprintf("ApplicationToken %s acts for a user; clone one that has a clientRef", name),
			}, nil
		}
		name = string(source.Spec.CloneFrom.Name)
	}
	return RequestedGrants{}, &plan.Refusal{
		Reason:  v1alpha1.ReasonCloneLoop,
		Message: fmt.Sprintf("spec.cloneFrom: the chain of sources has no token with a clientRef within %d steps; clone that token directly", maxCloneDepth),
	}, nil
}

// BecameClone reports whether an edit gave cloneFrom to a token that had versions by a clientRef or
// userRef. The record of such a token shows nothing about the source.
func BecameClone(at *v1alpha1.ApplicationToken) bool {
	if at.Status.Cloned != nil || !HasVersion(at) {
		return false
	}
	switch at.ReadyReason() {
	case v1alpha1.ReasonSourceMissing, v1alpha1.ReasonSourceNotUsable, v1alpha1.ReasonCloneLoop:
		return true
	default:
		return at.Status.ObservedGeneration != at.Generation
	}
}

// ClonedGrants returns the grants that the status of a clone keeps.
func ClonedGrants(at *v1alpha1.ApplicationToken, a RequestedGrants) *v1alpha1.ClonedGrants {
	return &v1alpha1.ClonedGrants{
		From: string(at.Spec.CloneFrom.Name), Client: a.Client, Roles: TypedStrings[v1alpha1.RoleName](a.Roles),
		Permissions: TypedStrings[v1alpha1.Permission](a.Permissions), SourceRanges: TypedStrings[v1alpha1.SourceRange](a.SourceRanges),
	}
}

// RequestedByClone returns what a clone asks for: the grants that its status keeps.
func RequestedByClone(c *v1alpha1.ClonedGrants) RequestedGrants {
	return RequestedGrants{
		Client: c.Client, Roles: SortedStrings(c.Roles), Permissions: SortedStrings(c.Permissions), SourceRanges: SortedStrings(c.SourceRanges),
	}
}
