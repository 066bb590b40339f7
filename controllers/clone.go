package controllers

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/plan"
)

// longestChain bounds how many clones of clones are followed.
const longestChain = 16

// origin finds what a clone asks for: what it took over at its first issue, or else what its source asks for now,
// following clones of clones. All are of one namespace, so that no reference leaves it.
func (l lookout) origin(ctx context.Context, at *v1alpha1.ApplicationToken) (asked, *plan.Refusal, error) {
	if at.Status.Cloned != nil {
		return askedByClone(at.Status.Cloned), nil, nil
	}
	name := string(at.Spec.CloneFrom.Name)
	for range longestChain {
		if name == at.Name {
			return asked{}, &plan.Refusal{
				Reason:  v1alpha1.ReasonCloneLoop,
				Message: "following spec.cloneFrom comes back to this token; let one of them have a clientRef",
			}, nil
		}
		var source v1alpha1.ApplicationToken
		err := l.Client.Get(ctx, types.NamespacedName{Namespace: at.Namespace, Name: name}, &source)
		if apierrors.IsNotFound(err) {
			return asked{}, &plan.Refusal{
				Reason:  v1alpha1.ReasonSourceMissing,
				Message: fmt.Sprintf("there is no ApplicationToken %q in namespace %s to clone; create it, or correct spec.cloneFrom", name, at.Namespace),
			}, nil
		}
		if err != nil {
			return asked{}, nil, fmt.Errorf("get the source %s: %w", name, err)
		}
		switch {
		case !source.DeletionTimestamp.IsZero() || source.Spec.State != v1alpha1.TokenActive:
			return asked{}, &plan.Refusal{
				Reason:  v1alpha1.ReasonSourceNotUsable,
				Message: fmt.Sprintf("ApplicationToken %s is suspended, revoked or being deleted; clone one that is Active", name),
			}, nil
		case source.Spec.ClientRef != nil:
			return askedBy(&source), nil, nil
		case source.Status.Cloned != nil:
			return askedByClone(source.Status.Cloned), nil, nil
		case source.Spec.CloneFrom == nil:
			return asked{}, &plan.Refusal{
				Reason:  v1alpha1.ReasonSourceNotUsable,
				Message: fmt.Sprintf("ApplicationToken %s speaks for a user; clone one that has a clientRef", name),
			}, nil
		}
		name = string(source.Spec.CloneFrom.Name)
	}
	return asked{}, &plan.Refusal{
		Reason:  v1alpha1.ReasonCloneLoop,
		Message: fmt.Sprintf("following spec.cloneFrom comes to no token with a clientRef within %d steps; clone that one directly", longestChain),
	}, nil
}

func askedByClone(c *v1alpha1.ClonedGrants) asked {
	return asked{
		client: c.Client, roles: sorted(c.Roles), permissions: sorted(c.Permissions), sourceRanges: sorted(c.SourceRanges),
	}
}
