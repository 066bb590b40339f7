package management

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/issue"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/tokenspec"
)

// Revoke ends every version of a token. A repeated call is no error as long as something of the
// token is left.
func (s *Service) Revoke(ctx context.Context, scope Scope, name string) error {
	at, err := s.findToken(ctx, s.Live, scope, name)
	if err != nil {
		return err
	}
	if s.isCreatedByAPI(at) {
		if at.DeletionTimestamp.IsZero() {
			err = asUnavailable(client.IgnoreNotFound(s.Client.Delete(ctx, at, client.Preconditions{UID: &at.UID})))
		}
	} else {
		err = s.editToken(ctx, at, func(at *v1alpha1.ApplicationToken) error { at.Spec.State = v1alpha1.TokenRevoked; return nil })
	}
	if err != nil {
		return err
	}
	records, err := s.recordsOf(ctx, at)
	if err != nil {
		return asUnavailable(err)
	}
	if err := s.retireRecords(ctx, records...); err != nil {
		return err
	}
	if s.isCreatedByAPI(at) {
		s.removeFinalizer(ctx, at)
	}
	return nil
}

// removeFinalizer removes the finalizer of a deleted token whose records were ended, so that its
// name is free. The reconciler would do the same.
func (s *Service) removeFinalizer(ctx context.Context, at *v1alpha1.ApplicationToken) {
	var now v1alpha1.ApplicationToken
	if err := s.Live.Get(ctx, client.ObjectKeyFromObject(at), &now); err != nil || now.UID != at.UID || now.DeletionTimestamp.IsZero() {
		return
	}
	_ = s.issuer().RemoveFinalizer(ctx, &now) //nolint:errcheck // the reconciler does it then
}

// Change changes the grants or the state of a token. The records follow at once, whether or not
// there is a leader.
func (s *Service) Change(ctx context.Context, by Caller, scope Scope, name string, c Change) (Token, error) {
	at, err := s.findLiveToken(ctx, scope, name)
	if err != nil {
		return Token{}, err
	}
	if err := s.checkChange(at, c); err != nil {
		return Token{}, err
	}
	err = s.editToken(ctx, at, func(at *v1alpha1.ApplicationToken) error {
		was, _, err := s.buildDesired(ctx, at, false)
		if err != nil {
			return err
		}
		activates := at.Spec.State == v1alpha1.TokenSuspended && c.State != nil && *c.State == string(v1alpha1.TokenActive)
		if activates && !isSuspendedByAPI(at) {
			return errSuspendedInKubernetes
		}
		applyChange(at, c)
		desired, refs, err := s.buildDesired(ctx, at, false)
		if err != nil {
			return err
		}
		if desired.Refused != was.Refused { // a refusal that applied before does not block the change
			if err := errorFromRefusal(desired, refs); err != nil {
				return err
			}
		}
		return s.permitChange(ctx, by, at, activates, was, desired)
	})
	if err != nil {
		return Token{}, err
	}
	if err := s.syncRecords(ctx, at); err != nil {
		return Token{}, asUnavailable(err)
	}
	reads := 1
	return s.describeToken(ctx, at, &reads)
}

// checkChange refuses a change that no ApplicationToken could hold, or that this one cannot have.
func (s *Service) checkChange(at *v1alpha1.ApplicationToken, c Change) error {
	if !s.isCreatedByAPI(at) {
		return newRefused("", "the token is declared in namespace %s; change its manifest", at.Namespace)
	}
	if at.Spec.State == v1alpha1.TokenRevoked {
		return newRefused("", "the token is revoked for good; create a new one")
	}
	list := func(p *[]string) []string {
		if p == nil {
			return nil
		}
		return *p
	}
	roles, permissions := list(c.Roles), list(c.Permissions)
	if at.Spec.UserRef != nil {
		if field := firstGrantField(roles, permissions); field != "" {
			return newRefused(field, "cannot be given: a token of a user has what the user has")
		}
	}
	if c.State != nil && *c.State != string(v1alpha1.TokenActive) && *c.State != string(v1alpha1.TokenSuspended) {
		return newRefused("state", "must be Active or Suspended")
	}
	return checkLists(roles, permissions, list(c.SourceRanges))
}

// applyChange sets the fields of the spec that a change names.
func applyChange(at *v1alpha1.ApplicationToken, c Change) {
	if c.Roles != nil {
		at.Spec.Roles = tokenspec.TypedStrings[v1alpha1.RoleName](*c.Roles)
	}
	if c.Permissions != nil {
		at.Spec.Permissions = tokenspec.TypedStrings[v1alpha1.Permission](*c.Permissions)
	}
	if c.SourceRanges != nil {
		at.Spec.SourceRanges = tokenspec.TypedStrings[v1alpha1.SourceRange](*c.SourceRanges)
	}
	if c.State != nil {
		at.Spec.State = v1alpha1.TokenState(*c.State)
	}
}

// syncRecords gives the records the grants that the token has now. Then it checks whether another
// writer has changed the token meanwhile, and begins again if so. Each writer checks after its last
// write, so the last of all writes agrees with the token at that time.
func (s *Service) syncRecords(ctx context.Context, at *v1alpha1.ApplicationToken) error {
	uid := at.UID
	for range maxWriteAttempts {
		desired, _, err := s.buildDesired(ctx, at, false)
		if err != nil {
			return err
		}
		records, err := s.recordsOf(ctx, at)
		if err != nil {
			return err
		}
		for _, r := range records {
			if err := s.issuer().Edit(ctx, r, func(r *record.Record) bool { return issue.SetRights(r, desired.Grants) }); err != nil {
				return err
			}
		}
		var now v1alpha1.ApplicationToken
		err = s.Live.Get(ctx, client.ObjectKeyFromObject(at), &now)
		switch {
		case apierrors.IsNotFound(err), err == nil && !now.DeletionTimestamp.IsZero():
			return ErrNotFound
		case err != nil:
			return err
		case now.UID != at.UID || now.Generation != at.Generation:
		case now.UID != uid:
			return ErrNotFound // another token of this name, whose records are right again
		default:
			return nil
		}
		*at = now
	}
	return fmt.Errorf("%s keeps changing", at.Name)
}
