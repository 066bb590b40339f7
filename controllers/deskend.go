package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/desk"
	"github.com/apptoken/operator/internal/plan"
	"github.com/apptoken/operator/internal/record"
)

// Revoke ends every version of a token. A repeated call is no error as long as something of the
// token is left.
func (d *Desk) Revoke(ctx context.Context, s desk.Scope, name string) error {
	at, err := d.find(ctx, d.Live, s, name)
	if err != nil {
		return err
	}
	if d.madeHere(at) {
		if at.DeletionTimestamp.IsZero() {
			err = unavailable(client.IgnoreNotFound(d.Client.Delete(ctx, at, client.Preconditions{UID: &at.UID})))
		}
	} else {
		err = d.edit(ctx, at, func(at *v1alpha1.ApplicationToken) error { at.Spec.State = v1alpha1.TokenRevoked; return nil })
	}
	if err != nil {
		return err
	}
	records, err := d.recordsOf(ctx, at)
	if err != nil {
		return unavailable(err)
	}
	if err := d.end(ctx, records...); err != nil {
		return err
	}
	if d.madeHere(at) {
		d.release(ctx, at)
	}
	return nil
}

// release removes the finalizer of a deleted token whose records were ended, so that its name is
// free. The reconciler would do the same.
func (d *Desk) release(ctx context.Context, at *v1alpha1.ApplicationToken) {
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
func (d *Desk) Change(ctx context.Context, by desk.Caller, s desk.Scope, name string, c desk.Change) (desk.Token, error) {
	at, err := d.alive(ctx, s, name)
	if err != nil {
		return desk.Token{}, err
	}
	if err := d.changeable(at, c); err != nil {
		return desk.Token{}, err
	}
	err = d.edit(ctx, at, func(at *v1alpha1.ApplicationToken) error {
		was, _, err := d.understand(ctx, at, false)
		if err != nil {
			return err
		}
		activates := at.Spec.State == v1alpha1.TokenSuspended && c.State != nil && *c.State == string(v1alpha1.TokenActive)
		if activates && !suspendedHere(at) {
			return errStopped
		}
		apply(at, c)
		w, around, err := d.understand(ctx, at, false)
		if err != nil {
			return err
		}
		if w.Refused != was.Refused { // a refusal that applied before does not block the change
			if err := refusalFrom(w, around); err != nil {
				return err
			}
		}
		return d.permitChange(ctx, by, at, activates, was, w)
	})
	if err != nil {
		return desk.Token{}, err
	}
	if err := d.follow(ctx, at); err != nil {
		return desk.Token{}, unavailable(err)
	}
	reads := 1
	return d.show(ctx, at, &reads)
}

func (d *Desk) changeable(at *v1alpha1.ApplicationToken, c desk.Change) error {
	if !d.madeHere(at) {
		return refused("", "the token is declared in namespace %s; change its manifest", at.Namespace)
	}
	if at.Spec.State == v1alpha1.TokenRevoked {
		return refused("", "the token is revoked for good; create a new one")
	}
	list := func(p *[]string) []string {
		if p == nil {
			return nil
		}
		return *p
	}
	roles, permissions := list(c.Roles), list(c.Permissions)
	if at.Spec.UserRef != nil {
		if field := ofUserAlone(roles, permissions); field != "" {
			return refused(field, "cannot be given: a token of a user has what the user has")
		}
	}
	if c.State != nil && *c.State != string(v1alpha1.TokenActive) && *c.State != string(v1alpha1.TokenSuspended) {
		return refused("state", "must be Active or Suspended")
	}
	return checkLists(roles, permissions, list(c.SourceRanges))
}

func apply(at *v1alpha1.ApplicationToken, c desk.Change) {
	if c.Roles != nil {
		at.Spec.Roles = names[v1alpha1.RoleName](*c.Roles)
	}
	if c.Permissions != nil {
		at.Spec.Permissions = names[v1alpha1.Permission](*c.Permissions)
	}
	if c.SourceRanges != nil {
		at.Spec.SourceRanges = names[v1alpha1.SourceRange](*c.SourceRanges)
	}
	if c.State != nil {
		at.Spec.State = v1alpha1.TokenState(*c.State)
	}
}

// follow gives the records the grants that the token has now. Then it checks whether another writer
// has changed the token meanwhile, and begins again if so. Each writer checks after its last write,
// so the last of all writes agrees with what the token says at that time.
func (d *Desk) follow(ctx context.Context, at *v1alpha1.ApplicationToken) error {
	uid := at.UID
	for range mostTries {
		w, _, err := d.understand(ctx, at, false)
		if err != nil {
			return err
		}
		records, err := d.recordsOf(ctx, at)
		if err != nil {
			return err
		}
		for _, r := range records {
			if err := d.match(ctx, r, w.Grants); err != nil {
				return err
			}
		}
		var now v1alpha1.ApplicationToken
		err = d.Live.Get(ctx, client.ObjectKeyFromObject(at), &now)
		switch {
		case apierrors.IsNotFound(err), err == nil && !now.DeletionTimestamp.IsZero():
			return desk.ErrMissing
		case err != nil:
			return err
		case now.UID != at.UID || now.Generation != at.Generation:
		case now.UID != uid:
			return desk.ErrMissing // another token of this name, whose records are right again
		default:
			return nil
		}
		*at = now
	}
	return fmt.Errorf("%s keeps changing", at.Name)
}

// match gives a record the grants of its token.
func (d *Desk) match(ctx context.Context, r record.Record, g *plan.Grants) error {
	if g == nil {
		return nil
	}
	return d.rewrite(ctx, r, func(r *record.Record) bool {
		same := r.Suspended == g.Suspended && slices.Equal(r.Roles, g.Roles) &&
			slices.Equal(r.Permissions, g.Permissions) && slices.Equal(r.SourceRanges, g.SourceRanges)
		r.Suspended, r.Roles, r.Permissions, r.SourceRanges = g.Suspended, g.Roles, g.Permissions, g.SourceRanges
		return !same
	})
}

// rewrite changes a record, unless change reports that there is nothing to change. As long as
// another writer comes first, it tries again. A record that is gone needs no change.
func (d *Desk) rewrite(ctx context.Context, r record.Record, change func(*record.Record) bool) error {
	var err error
	for range mostTries {
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
