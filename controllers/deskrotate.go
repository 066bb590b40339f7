package controllers

import (
	"context"
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/desk"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

// Rotate makes a successor under the same name.
func (d *Desk) Rotate(ctx context.Context, by desk.Caller, s desk.Scope, name, key string) (desk.Issued, error) {
	at, err := d.alive(ctx, s, name)
	if err != nil {
		return desk.Issued{}, err
	}
	trigger := keyed(key)
	if !byAnswer(at, d.Namespace) {
		return d.request(ctx, at, trigger)
	}
	return d.succeed(ctx, at, trigger, shownTo(by), func(current record.Record) (bool, error) {
		if trigger == "" || current.Trigger != trigger {
			return false, nil
		}
		return true, d.unused(current)
	})
}

// RotateOwn makes a successor for whoever holds the token.
func (d *Desk) RotateOwn(ctx context.Context, _ desk.Caller, digest token.Digest) (desk.Issued, error) {
	presented, err := d.Records.Find(ctx, digest)
	if errors.Is(err, record.ErrGone) || errors.Is(err, record.ErrAmbiguous) || err == nil && presented.Owner.Kind != ownerKind {
		return desk.Issued{}, desk.ErrMissing
	}
	if err != nil {
		return desk.Issued{}, unavailable(err)
	}
	if presented.Over(d.now()) {
		return desk.Issued{}, refused("", "it has expired")
	}
	var at v1alpha1.ApplicationToken
	err = d.Live.Get(ctx, types.NamespacedName{Namespace: presented.Owner.Namespace, Name: presented.Owner.Name}, &at)
	if apierrors.IsNotFound(err) || err == nil && (string(at.UID) != presented.Owner.UID || !at.DeletionTimestamp.IsZero()) {
		return desk.Issued{}, desk.ErrMissing
	}
	if err != nil {
		return desk.Issued{}, unavailable(err)
	}
	if !byAnswer(&at, d.Namespace) {
		value := "own:" + presented.Name()
		if !presented.SupersededAt.IsZero() && at.Annotations[v1alpha1.AnnotationRotate] != value {
			return desk.Issued{}, desk.ErrInUse
		}
		return d.request(ctx, &at, value)
	}
	return d.succeed(ctx, &at, "", toHolder, func(current record.Record) (bool, error) {
		switch presented.Name() {
		case current.Name():
			return false, nil
		case current.Predecessor:
			return true, d.unused(current)
		default:
			return false, desk.ErrInUse
		}
	})
}

// request asks the reconciler for a rotation of a token that is in a Secret. The same value asks for the same one.
func (d *Desk) request(ctx context.Context, at *v1alpha1.ApplicationToken, value string) (desk.Issued, error) {
	w, around, err := d.understand(ctx, at, false)
	if err == nil {
		err = standing(w, around)
	}
	if err != nil {
		return desk.Issued{}, err
	}
	if c := at.Status.Current; c != nil && c.ExpiresAt != nil && !d.Now().Before(c.ExpiresAt.Time) {
		return desk.Issued{}, refused("", "it has expired; change rotation.trigger in its manifest for a new version")
	}
	if value == "" {
		if _, value, err = d.mint(token.Application); err != nil {
			return desk.Issued{}, err
		}
	}
	err = d.edit(ctx, at, func(at *v1alpha1.ApplicationToken) error {
		if at.Annotations == nil {
			at.Annotations = map[string]string{}
		}
		at.Annotations[v1alpha1.AnnotationRotate] = value
		return nil
	})
	if err != nil {
		return desk.Issued{}, err
	}
	return desk.Issued{Token: d.view(at, nil)}, nil
}

// keyed is what is kept of the key of a request; empty: there was none.
func keyed(key string) string {
	if key == "" {
		return ""
	}
	return "key:" + digested(key)
}

// unused says that nobody is known to have used a version: whoever asked for it may not have got it.
func (d *Desk) unused(r record.Record) error {
	if !r.LastUsedAt.IsZero() || d.Used(r.Digest) {
		return desk.ErrInUse
	}
	return nil
}

// Clone makes a token that may do what another may.
func (d *Desk) Clone(ctx context.Context, by desk.Caller, s desk.Scope, name, as, key string) (desk.Issued, error) {
	source, err := d.alive(ctx, s, name)
	if err != nil {
		return desk.Issued{}, err
	}
	w, around, err := d.understand(ctx, source, false)
	if err == nil {
		err = standing(w, around)
	}
	if err != nil {
		return desk.Issued{}, err
	}
	draft, err := d.draft(ctx, desk.Scope{Client: w.asked.client, User: s.User}, desk.Wanted{
		Name: as, Roles: w.Grants.Roles, Permissions: w.Grants.Permissions, SourceRanges: w.Grants.SourceRanges, Lifetime: w.Lifetime,
	})
	if err != nil {
		return desk.Issued{}, err
	}
	if key == "" {
		return d.make(ctx, by, draft)
	}
	mark := keyed("clone of " + source.Namespace + "/" + source.Name + "\x00" + key)
	draft.Annotations[v1alpha1.AnnotationKey] = mark
	made, err := d.make(ctx, by, draft)
	if !errors.Is(err, desk.ErrTaken) {
		return made, err
	}
	at, findErr := d.alive(ctx, s, as)
	if errors.Is(findErr, desk.ErrMissing) || findErr == nil && (at.Annotations[v1alpha1.AnnotationKey] != mark || at.Annotations[v1alpha1.AnnotationRecord] == "") {
		return desk.Issued{}, desk.ErrTaken
	}
	if findErr != nil {
		return desk.Issued{}, findErr
	}
	return d.succeed(ctx, at, "", shownTo(by), func(current record.Record) (bool, error) {
		if current.Predecessor != "" || current.Trigger != "" {
			return false, desk.ErrInUse // it was rotated since
		}
		return true, d.unused(current)
	})
}
