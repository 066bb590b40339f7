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

// make makes a token, and gives its place in the quota back where it does not come to be. Its version records the request.
func (d *Desk) make(ctx context.Context, by desk.Caller, draft *v1alpha1.ApplicationToken, request string) (desk.Issued, error) {
	made, err := d.attempt(ctx, by, draft, request)
	if err != nil {
		d.Quota.index.Withdraw(quotaKey(draft))
	}
	return made, err
}

// attempt makes the object, then the record of its first version, and then says in the object that this is the one. Whoever
// finds the object without that may take it over: nobody was told of what it has.
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
		rec.Version = at.Status.Rotations + 2 // all that it had is gone
	}
	if rec, err = d.add(ctx, rec); err != nil {
		return desk.Issued{}, err
	}
	err = d.edit(ctx, at, func(at *v1alpha1.ApplicationToken) error {
		if at.Annotations[v1alpha1.AnnotationRecord] == rec.Name() {
			return nil // an answer was lost
		}
		if at.Annotations[v1alpha1.AnnotationAttempt] != attempt {
			return desk.ErrTaken // somebody took it over
		}
		if why := withheldBy(at); why != nil { // of those that several replicas made at once, it is one too many
			return &desk.Refused{Message: why.Message, Full: true}
		}
		now, _, err := d.understand(ctx, at, false) // somebody may have changed it since
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
		return desk.Issued{}, err // it may be the one all the same: what is left is for whoever asks again
	}
	return desk.Issued{Token: d.view(at, &rec), Secret: tok}, nil
}

// discard deletes an object whose token no caller has received, so that it takes no place from tokens in use. The reconciler may
// write to it at the same time. An object that cannot be deleted waits for a place, and the next attempt takes it over.
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

// mint makes the plaintext of a version, and the name of the attempt to give it.
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

// recordOf is the record of a first version.
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

// add stores a record. Where the answer is lost, or one to a repetition, the record tells that it is there.
func (d *Desk) add(ctx context.Context, r record.Record) (record.Record, error) {
	added, err := d.Records.Add(ctx, r)
	if err == nil {
		return added, nil
	}
	if there, findErr := d.Records.Find(ctx, r.Digest); findErr == nil {
		return there, nil // nobody else has its digest
	}
	return record.Record{}, unavailable(err)
}

// open creates the object, or takes over one that was left half-made. ErrTaken if it is neither.
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
		return &now, nil // the answer was lost
	}
	return &now, d.takeOver(ctx, &now, draft)
}

// takeOver makes the object of an attempt that was given up that of a new one. What the former has left is ended.
func (d *Desk) takeOver(ctx context.Context, at, draft *v1alpha1.ApplicationToken) error {
	if !at.DeletionTimestamp.IsZero() {
		return fmt.Errorf("%w: the token that had the name is about to go", desk.ErrUnavailable)
	}
	attempt := draft.Annotations[v1alpha1.AnnotationAttempt]
	var left []record.Record // as it was before it was ours: later there may be one of who has it then
	err := d.edit(ctx, at, func(at *v1alpha1.ApplicationToken) (err error) {
		if at.Annotations[v1alpha1.AnnotationAttempt] == attempt {
			return nil // an answer was lost
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
		return fmt.Errorf("%w: the token that had the name went a moment ago", desk.ErrUnavailable)
	}
	if err != nil {
		return err
	}
	return d.end(ctx, left...)
}
