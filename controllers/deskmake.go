package controllers

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/desk"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

// Create makes a token.
func (d *Desk) Create(ctx context.Context, by desk.Caller, s desk.Scope, w desk.Wanted) (desk.Issued, error) {
	at, err := d.draft(ctx, s, w)
	if err != nil {
		return desk.Issued{}, err
	}
	return d.make(ctx, by, at, "")
}

// make makes a token, and withdraws its quota reservation if that fails. The version records the
// request.
func (d *Desk) make(ctx context.Context, by desk.Caller, draft *v1alpha1.ApplicationToken, request string) (desk.Issued, error) {
	made, err := d.attempt(ctx, by, draft, request)
	if err != nil {
		d.Quota.index.Withdraw(quotaKey(draft))
	}
	return made, err
}

// attempt creates the object, then the record of its first version, and then names that record in
// the object. A later attempt may take over an object that names no record: no caller has received
// what it has.
func (d *Desk) attempt(ctx context.Context, by desk.Caller, draft *v1alpha1.ApplicationToken, request string) (desk.Issued, error) {
	w, around, err := d.understand(ctx, draft, true)
	if err == nil {
		err = refusalFrom(w, around)
	}
	if err == nil {
		err = permit(by, authorityOf(w, d.endOf(w)))
	}
	if err != nil {
		return desk.Issued{}, err
	}
	tok, attempt, err := d.mint(w.kind)
	if err != nil {
		return desk.Issued{}, err
	}
	draft.Annotations[v1alpha1.AnnotationAttempt] = attempt
	at, err := d.open(ctx, draft, attempt)
	if err != nil {
		return desk.Issued{}, err
	}
	rec := d.recordOf(at, w, tok)
	rec.Request = request
	if at.Status.Rotations > 0 {
		rec.Version = at.Status.Rotations + 2 // all its earlier records are gone
	}
	if rec, err = d.add(ctx, rec); err != nil {
		return desk.Issued{}, err
	}
	err = d.edit(ctx, at, func(at *v1alpha1.ApplicationToken) error {
		if at.Annotations[v1alpha1.AnnotationRecord] == rec.Name() {
			return nil // the response to an earlier attempt was lost
		}
		if at.Annotations[v1alpha1.AnnotationAttempt] != attempt {
			return desk.ErrTaken // another attempt took it over
		}
		if why := withheldBy(at); why != nil { // several replicas made tokens at once, and this one exceeds the quota
			return &desk.Refused{Message: why.Message, Full: true}
		}
		now, _, err := d.understand(ctx, at, false) // another writer may have changed it since
		if err == nil {
			err = permit(by, authorityOf(now, rec.ExpiresAt))
		}
		if err != nil {
			return err
		}
		delete(at.Annotations, v1alpha1.AnnotationAttempt)
		at.Annotations[v1alpha1.AnnotationRecord] = rec.Name()
		return nil
	})
	if no, ok := errors.AsType[*desk.Refused](err); ok && no.Full {
		d.drop(ctx, rec)
		d.discard(ctx, at, attempt)
		return desk.Issued{}, err
	}
	if errors.Is(err, desk.ErrTaken) || errors.Is(err, desk.ErrMissing) {
		d.drop(ctx, rec)
		return desk.Issued{}, desk.ErrTaken
	}
	if _, denied := errors.AsType[*desk.Denied](err); denied {
		d.drop(ctx, rec)
		d.discard(ctx, at, attempt)
	}
	if err != nil {
		return desk.Issued{}, err // the write may have landed all the same: a later attempt takes over what is left
	}
	return desk.Issued{Token: d.view(at, &rec), Secret: tok}, nil
}

// discard deletes an object whose token no caller has received, so that it takes no quota from
// tokens in use. The reconciler may write to it at the same time. An object that discard cannot
// delete waits for quota, and a later attempt takes it over.
func (d *Desk) discard(ctx context.Context, at *v1alpha1.ApplicationToken, attempt string) {
	for range mostTries {
		var now v1alpha1.ApplicationToken
		if err := d.Live.Get(ctx, client.ObjectKeyFromObject(at), &now); err != nil || now.Annotations[v1alpha1.AnnotationAttempt] != attempt {
			return
		}
		err := d.Client.Delete(ctx, &now, client.Preconditions{UID: &now.UID, ResourceVersion: &now.ResourceVersion})
		if err == nil {
			d.release(ctx, &now)
		}
		if !apierrors.IsConflict(err) {
			return
		}
	}
}

// mint makes the plaintext of a version, and a nonce that identifies the attempt to deliver it.
func (d *Desk) mint(kind token.Kind) (token.Token, string, error) {
	var nonce [16]byte
	tok, err := token.Mint(kind, d.Entropy)
	if err == nil {
		_, err = io.ReadFull(d.Entropy, nonce[:])
	}
	if err != nil {
		return token.Token{}, "", unavailable(fmt.Errorf("mint a token: %w", err))
	}
	return tok, hex.EncodeToString(nonce[:]), nil
}

// recordOf returns the record of a first version.
func (d *Desk) recordOf(at *v1alpha1.ApplicationToken, w wish, tok token.Token) record.Record {
	now := d.now()
	r := record.Record{
		Kind: w.kind, Digest: tok.Digest(), Hint: tok.Hint(), Owner: owner(at),
		Client: w.Grants.Client, User: w.Grants.User, UserUID: w.User.UID, Roles: w.Grants.Roles, Permissions: w.Grants.Permissions,
		SourceRanges: w.Grants.SourceRanges, Suspended: w.Grants.Suspended, IssuedAt: now, Version: 1,
	}
	if w.Lifetime > 0 {
		r.ExpiresAt = now.Add(w.Lifetime)
	}
	return r
}

// add stores a record. If the response is lost, or answers a repetition, the stored record shows
// that the write landed.
func (d *Desk) add(ctx context.Context, r record.Record) (record.Record, error) {
	added, err := d.Records.Add(ctx, r)
	if err == nil {
		return added, nil
	}
	if there, findErr := d.Records.Find(ctx, r.Digest); findErr == nil {
		return there, nil // no other record has its digest
	}
	return record.Record{}, unavailable(err)
}

// open creates the object, or takes over an object that an earlier attempt left incomplete. It
// returns ErrTaken if it can do neither.
func (d *Desk) open(ctx context.Context, draft *v1alpha1.ApplicationToken, attempt string) (*v1alpha1.ApplicationToken, error) {
	at := draft.DeepCopy()
	err := d.Client.Create(ctx, at, fieldOwner)
	switch {
	case err == nil:
		return at, nil
	case apierrors.IsInvalid(err):
		return nil, invalid(err)
	case answered(err) && !apierrors.IsAlreadyExists(err):
		return nil, unavailable(err)
	}
	var now v1alpha1.ApplicationToken
	if readErr := d.Live.Get(ctx, client.ObjectKeyFromObject(draft), &now); readErr != nil {
		return nil, unavailable(errors.Join(err, readErr))
	}
	if now.Annotations[v1alpha1.AnnotationAttempt] == attempt {
		return &now, nil // the response was lost
	}
	return &now, d.takeOver(ctx, &now, draft)
}

// takeOver gives the object of an abandoned attempt to a new attempt. It ends the records that the
// former left.
func (d *Desk) takeOver(ctx context.Context, at, draft *v1alpha1.ApplicationToken) error {
	if !at.DeletionTimestamp.IsZero() {
		return fmt.Errorf("%w: the previous token of this name is being deleted", desk.ErrUnavailable)
	}
	attempt := draft.Annotations[v1alpha1.AnnotationAttempt]
	var left []record.Record // read before the takeover: later, the records may be those of the next attempt
	err := d.edit(ctx, at, func(at *v1alpha1.ApplicationToken) (err error) {
		if at.Annotations[v1alpha1.AnnotationAttempt] == attempt {
			return nil // the response to an earlier attempt was lost
		}
		if !byAnswer(at, d.Namespace) || at.Annotations[v1alpha1.AnnotationName] != draft.Annotations[v1alpha1.AnnotationName] ||
			at.Spec.State == v1alpha1.TokenRevoked {
			return desk.ErrTaken
		}
		if at.Spec.State == v1alpha1.TokenSuspended && !suspendedHere(at) {
			return errStopped
		}
		if left, err = d.recordsOf(ctx, at); err != nil {
			return unavailable(err)
		}
		if deliveredRecord(at) != "" && len(left) > 0 {
			return desk.ErrTaken
		}
		delete(at.Annotations, v1alpha1.AnnotationRecord)
		maps.Copy(at.Annotations, draft.Annotations)
		at.Spec, at.OwnerReferences = *draft.Spec.DeepCopy(), draft.OwnerReferences
		controllerutil.AddFinalizer(at, v1alpha1.FinalizerRecords)
		return nil
	})
	if errors.Is(err, desk.ErrMissing) {
		return fmt.Errorf("%w: the previous token of this name was just deleted", desk.ErrUnavailable)
	}
	if err != nil {
		return err
	}
	return d.end(ctx, left...)
}
