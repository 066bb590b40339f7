package management

import (
	"context"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/plan"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/tokenspec"
)

// Revoke ends every version of a token. A repeated call is no error as long as something of the
// token is left.
func (d *Service) Revoke(ctx context.Context, s Scope, name string) error {
	at, err := d.findToken(ctx, d.Live, s, name)
	if err != nil {
		return err
	}
	if d.isCreatedByAPI(at) {
		if at.DeletionTimestamp.IsZero() {
			err = asUnavailable(client.IgnoreNotFound(d.Client.Delete(ctx, at, client.Preconditions{UID: &at.UID})))
		}
	} else {
		err = d.editToken(ctx, at, func(at *v1alpha1.ApplicationToken) error { at.Spec.State = v1alpha1.TokenRevoked; return nil })
	}
	if err != nil {
		return err
	}
	records, err := d.recordsOf(ctx, at)
	if err != nil {
		return asUnavailable(err)
	}
	if err := d.retireRecords(ctx, records...); err != nil {
		return err
	}
	if d.isCreatedByAPI(at) {
		d.removeFinalizer(ctx, at)
	}
	return nil
}

// removeFinalizer removes the finalizer of a deleted token whose records were ended, so that its
// name is free. The reconciler would do the same.
func (d *Service) removeFinalizer(ctx context.Context, at *v1alpha1.ApplicationToken) {
	var now v1alpha1.ApplicationToken
	if err := d.Live.Get(ctx, client.ObjectKeyFromObject(at), &now); err != nil || now.UID != at.UID || now.DeletionTimestamp.IsZero() {
		return
	}
	before := now.DeepCopy()
	if controllerutil.RemoveFinalizer(&now, v1alpha1.FinalizerRecords) {
		_ = d.Client.Patch(ctx, &now, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})) //nolint:errcheck // the reconciler does it then
	}
}

// Change changes the grants or the state of a token. The records follow at once, whether or not
// there is a leader.
func (d *Service) Change(ctx context.Context, by Caller, s Scope, name string, c Change) (Token, error) {
	at, err := d.findLiveToken(ctx, s, name)
	if err != nil {
		return Token{}, err
	}
	if err := d.checkChange(at, c); err != nil {
		return Token{}, err
	}
	err = d.editToken(ctx, at, func(at *v1alpha1.ApplicationToken) error {
		was, _, err := d.buildDesired(ctx, at, false)
		if err != nil {
			return err
		}
		activates := at.Spec.State == v1alpha1.TokenSuspended && c.State != nil && *c.State == string(v1alpha1.TokenActive)
		if activates && !isSuspendedByAPI(at) {
			return errSuspendedInKubernetes
		}
		applyChange(at, c)
		w, refs, err := d.buildDesired(ctx, at, false)
		if err != nil {
			return err
		}
		if w.Refused != was.Refused { // a refusal that applied before does not block the change
			if err := errorFromRefusal(w, refs); err != nil {
				return err
			}
		}
		return d.permitChange(ctx, by, at, activates, was, w)
	})
	if err != nil {
		return Token{}, err
	}
	if err := d.syncRecords(ctx, at); err != nil {
		return Token{}, asUnavailable(err)
	}
	reads := 1
	return d.describeToken(ctx, at, &reads)
}

func (d *Service) checkChange(at *v1alpha1.ApplicationToken, c Change) error {
	if !d.isCreatedByAPI(at) {
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
// write, so the last of all writes agrees with what the token says at that time.
func (d *Service) syncRecords(ctx context.Context, at *v1alpha1.ApplicationToken) error {
	uid := at.UID
	for range maxWriteAttempts {
		w, _, err := d.buildDesired(ctx, at, false)
		if err != nil {
			return err
		}
		records, err := d.recordsOf(ctx, at)
		if err != nil {
			return err
		}
		for _, r := range records {
			if err := d.setRecordGrants(ctx, r, w.Grants); err != nil {
				return err
			}
		}
		var now v1alpha1.ApplicationToken
		err = d.Live.Get(ctx, client.ObjectKeyFromObject(at), &now)
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

// setRecordGrants gives a record the grants of its token.
func (d *Service) setRecordGrants(ctx context.Context, r record.Record, g *plan.Grants) error {
	if g == nil {
		return nil
	}
	return d.editRecord(ctx, r, func(r *record.Record) bool {
		same := r.Suspended == g.Suspended && slices.Equal(r.Roles, g.Roles) &&
			slices.Equal(r.Permissions, g.Permissions) && slices.Equal(r.SourceRanges, g.SourceRanges)
		r.Suspended, r.Roles, r.Permissions, r.SourceRanges = g.Suspended, g.Roles, g.Permissions, g.SourceRanges
		return !same
	})
}

// editRecord changes a record, unless change reports that there is nothing to change. As long as
// another writer comes first, it tries again. A record that is gone needs no change.
func (d *Service) editRecord(ctx context.Context, r record.Record, change func(*record.Record) bool) error {
	var err error
	for range maxWriteAttempts {
		after := r
		if !change(&after) {
			return nil
		}
		if _, err = d.Records.Change(ctx, r, after); err == nil {
			return nil
		}
		if !errors.Is(err, record.ErrStale) && !errors.Is(err, record.ErrGone) {
			return err
		}
		var readErr error
		if r, readErr = d.Records.Confirm(ctx, r.Name()); errors.Is(readErr, record.ErrGone) {
			return nil
		} else if readErr != nil {
			return readErr
		}
	}
	return err
}
