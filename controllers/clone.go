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

// origin returns what a clone asks for: the grants that it took over at its first issue, or
// otherwise what its source asks for now. It follows clones of clones. All of them are in one
// namespace, so that no reference leaves it.
func (l Lookout) origin(ctx context.Context, at *v1alpha1.ApplicationToken) (asked, *plan.Refusal, error) {
	if isCloned(at) {
		return askedByClone(at.Status.Cloned), nil, nil
	}
	name := string(at.Spec.CloneFrom.Name)
	for range longestChain {
		if name == at.Name {
			return asked{}, &plan.Refusal{
				Reason:  v1alpha1.ReasonCloneLoop,
				Message: "spec.cloneFrom: the chain of sources leads back to this token; give one of them a clientRef",
			}, nil
		}
		var source v1alpha1.ApplicationToken
		err := l.Client.Get(ctx, types.NamespacedName{Namespace: at.Namespace, Name: name}, &source)
		if apierrors.IsNotFound(err) {
			return asked{}, &plan.Refusal{
				Reason:  v1alpha1.ReasonSourceMissing,
				Message: fmt.Sprintf("There is no ApplicationToken %q in namespace %s to clone; create it, or correct spec.cloneFrom", name, at.Namespace),
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
		case isCloned(&source):
			return askedByClone(source.Status.Cloned), nil, nil
		case source.Spec.CloneFrom == nil:
			return asked{}, &plan.Refusal{
				Reason:  v1alpha1.ReasonSourceNotUsable,
				Message: fmt.Sprintf("ApplicationToken %s acts for a user; clone one that has a clientRef", name),
			}, nil
		}
		name = string(source.Spec.CloneFrom.Name)
	}
	return asked{}, &plan.Refusal{
		Reason:  v1alpha1.ReasonCloneLoop,
		Message: fmt.Sprintf("spec.cloneFrom: the chain of sources has no token with a clientRef within %d steps; clone that token directly", longestChain),
	}, nil
}

// isCloned reports whether the status of a clone holds the grants that it took over. A value
// without a client is incomplete and counts as none.
func isCloned(at *v1alpha1.ApplicationToken) bool {
	return at.Status.Cloned != nil && at.Status.Cloned.Client != ""
}

// recallClone restores the grants that a clone took over from its current record, if the status
// lacks them. That is so if the status was lost, or if a restore brought the clone back before its
// source. recallClone reports whether it restored them.
func recallClone(at *v1alpha1.ApplicationToken, s *seen) bool {
	if at.Spec.CloneFrom == nil || isCloned(at) || s.Current == nil || s.Current.Grants.Client == "" || becameClone(at) {
		return false
	}
	at.Status.Cloned = clonedGrants(at, asked{
		client: s.Current.Grants.Client, roles: s.Current.Grants.Roles, permissions: s.Current.Grants.Permissions, sourceRanges: s.Current.Grants.SourceRanges,
	})
	return true
}

// becameClone reports whether an edit gave cloneFrom to a token that had versions by a clientRef or
// userRef. The record of such a token shows nothing about the source.
func becameClone(at *v1alpha1.ApplicationToken) bool {
	if at.Status.Cloned != nil || !hasVersion(at) {
		return false
	}
	switch reasonOf(at) {
	case v1alpha1.ReasonSourceMissing, v1alpha1.ReasonSourceNotUsable, v1alpha1.ReasonCloneLoop:
		return true
	default:
		return at.Status.ObservedGeneration != at.Generation
	}
}

// clonedGrants returns the grants that the status of a clone keeps.
func clonedGrants(at *v1alpha1.ApplicationToken, a asked) *v1alpha1.ClonedGrants {
	return &v1alpha1.ClonedGrants{
		From: string(at.Spec.CloneFrom.Name), Client: a.client, Roles: names[v1alpha1.RoleName](a.roles),
		Permissions: names[v1alpha1.Permission](a.permissions), SourceRanges: names[v1alpha1.SourceRange](a.sourceRanges),
	}
}

func askedByClone(c *v1alpha1.ClonedGrants) asked {
	return asked{
		client: c.Client, roles: sorted(c.Roles), permissions: sorted(c.Permissions), sourceRanges: sorted(c.SourceRanges),
	}
}
