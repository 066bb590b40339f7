package management

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
	"github.com/apptoken/operator/internal/apierr"
	"github.com/apptoken/operator/internal/directory"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/tokenspec"
)

// Create makes a token.
func (d *Service) Create(ctx context.Context, by Caller, s Scope, w TokenSpec) (Issued, error) {
	at, err := d.draftToken(ctx, s, w)
	if err != nil {
		return Issued{}, err
	}
	return d.createFromDraft(ctx, by, at, "")
}

// createFromDraft makes a token, and withdraws its quota reservation if that fails. The version
// records the request.
func (d *Service) createFromDraft(ctx context.Context, by Caller, draft *v1alpha1.ApplicationToken, request string) (Issued, error) {
	made, err := d.attemptCreate(ctx, by, draft, request)
	if err != nil {
		d.Quota.Index.Withdraw(directory.QuotaKey(draft))
	}
	return made, err
}

// attemptCreate creates the object, then the record of its first version, and then names that
// record in the object. A later attempt may take over an object that names no record: no caller has
// received what it has.
func (d *Service) attemptCreate(ctx context.Context, by Caller, draft *v1alpha1.ApplicationToken, request string) (Issued, error) {
	w, refs, err := d.buildDesired(ctx, draft, true)
	if err == nil {
		err = errorFromRefusal(w, refs)
	}
	if err == nil {
		err = permitAuthority(by, authorityOf(w, d.expiryOf(w)))
	}
	if err != nil {
		return Issued{}, err
	}
	tok, attempt, err := d.mint(w.Kind)
	if err != nil {
		return Issued{}, err
	}
	draft.Annotations[v1alpha1.AnnotationAttempt] = attempt
	at, err := d.openObject(ctx, draft, attempt)
	if err != nil {
		return Issued{}, err
	}
	rec := d.firstRecord(at, w, tok)
	rec.Request = request
	if at.Status.Rotations > 0 {
		rec.Version = at.Status.Rotations + 2 // all its earlier records are gone
	}
	if rec, err = d.addRecord(ctx, rec); err != nil {
		return Issued{}, err
	}
	err = d.editToken(ctx, at, func(at *v1alpha1.ApplicationToken) error {
		if at.Annotations[v1alpha1.AnnotationRecord] == rec.Name() {
			return nil // the response to an earlier attempt was lost
		}
		if at.Annotations[v1alpha1.AnnotationAttempt] != attempt {
			return ErrExists // another attempt took it over
		}
		if why := tokenspec.WithheldRefusal(at); why != nil { // several replicas made tokens at once, and this one exceeds the quota
			return &Refused{Message: why.Message, QuotaExceeded: true}
		}
		now, _, err := d.buildDesired(ctx, at, false) // another writer may have changed it since
		if err == nil {
			err = permitAuthority(by, authorityOf(now, rec.ExpiresAt))
		}
		if err != nil {
			return err
		}
		delete(at.Annotations, v1alpha1.AnnotationAttempt)
		at.Annotations[v1alpha1.AnnotationRecord] = rec.Name()
		return nil
	})
	if no, ok := errors.AsType[*Refused](err); ok && no.QuotaExceeded {
		d.discardRecord(ctx, rec)
		d.discardObject(ctx, at, attempt)
		return Issued{}, err
	}
	if errors.Is(err, ErrExists) || errors.Is(err, ErrNotFound) {
		d.discardRecord(ctx, rec)
		return Issued{}, ErrExists
	}
	if _, denied := errors.AsType[*Denied](err); denied {
		d.discardRecord(ctx, rec)
		d.discardObject(ctx, at, attempt)
	}
	if err != nil {
		return Issued{}, err // the write may have landed all the same: a later attempt takes over what is left
	}
	return Issued{Token: d.tokenView(at, &rec), Secret: tok}, nil
}

// discardObject deletes an object whose token no caller has received, so that it takes no quota
// from tokens in use. The reconciler may write to it at the same time. An object that discard
// cannot delete waits for quota, and a later attempt takes it over.
func (d *Service) discardObject(ctx context.Context, at *v1alpha1.ApplicationToken, attempt string) {
	for range maxWriteAttempts {
		var now v1alpha1.ApplicationToken
		if err := d.Live.Get(ctx, client.ObjectKeyFromObject(at), &now); err != nil || now.Annotations[v1alpha1.AnnotationAttempt] != attempt {
			return
		}
		err := d.Client.Delete(ctx, &now, client.Preconditions{UID: &now.UID, ResourceVersion: &now.ResourceVersion})
		if err == nil {
			d.removeFinalizer(ctx, &now)
		}
		if !apierrors.IsConflict(err) {
			return
		}
	}
}

// mint makes the plaintext of a version, and a nonce that identifies the attempt to deliver it.
func (d *Service) mint(kind token.Kind) (token.Token, string, error) {
	var nonce [16]byte
	tok, err := token.Mint(kind, d.Entropy)
	if err == nil {
		_, err = io.ReadFull(d.Entropy, nonce[:])
	}
	if err != nil {
		return token.Token{}, "", asUnavailable(fmt.Errorf("mint a token: %w", err))
	}
	return tok, hex.EncodeToString(nonce[:]), nil
}

// firstRecord returns the record of a first version.
func (d *Service) firstRecord(at *v1alpha1.ApplicationToken, w tokenspec.Spec, tok token.Token) record.Record {
	now := d.now()
	r := record.Record{
		Kind: w.Kind, Digest: tok.Digest(), Hint: tok.Hint(), Owner: tokenspec.OwnerOf(at),
		Client: w.Grants.Client, User: w.Grants.User, UserUID: w.User.UID, Roles: w.Grants.Roles, Permissions: w.Grants.Permissions,
		SourceRanges: w.Grants.SourceRanges, Suspended: w.Grants.Suspended, IssuedAt: now, Version: 1,
	}
	if w.Lifetime > 0 {
		r.ExpiresAt = now.Add(w.Lifetime)
	}
	return r
}

// addRecord stores a record. If the response is lost, or answers a repetition, the stored record
// shows that the write landed.
func (d *Service) addRecord(ctx context.Context, r record.Record) (record.Record, error) {
	added, err := d.Records.Add(ctx, r)
	if err == nil {
		return added, nil
	}
	if there, findErr := d.Records.Find(ctx, r.Digest); findErr == nil {
		return there, nil // no other record has its digest
	}
	return record.Record{}, asUnavailable(err)
}

// openObject creates the object, or takes over an object that an earlier attempt left incomplete.
// It returns ErrExists if it can do neither.
func (d *Service) openObject(ctx context.Context, draft *v1alpha1.ApplicationToken, attempt string) (*v1alpha1.ApplicationToken, error) {
	at := draft.DeepCopy()
	err := d.Client.Create(ctx, at, fieldOwner)
	switch {
	case err == nil:
		return at, nil
	case apierrors.IsInvalid(err):
		return nil, invalidError(err)
	case apierr.IsRejected(err) && !apierrors.IsAlreadyExists(err):
		return nil, asUnavailable(err)
	}
	var now v1alpha1.ApplicationToken
	if readErr := d.Live.Get(ctx, client.ObjectKeyFromObject(draft), &now); readErr != nil {
		return nil, asUnavailable(errors.Join(err, readErr))
	}
	if now.Annotations[v1alpha1.AnnotationAttempt] == attempt {
		return &now, nil // the response was lost
	}
	return &now, d.takeOverObject(ctx, &now, draft)
}

// takeOverObject gives the object of an abandoned attempt to a new attempt. It ends the records
// that the former left.
func (d *Service) takeOverObject(ctx context.Context, at, draft *v1alpha1.ApplicationToken) error {
	if !at.DeletionTimestamp.IsZero() {
		return fmt.Errorf("%w: the previous token of this name is being deleted", ErrUnavailable)
	}
	attempt := draft.Annotations[v1alpha1.AnnotationAttempt]
	var left []record.Record // read before the takeover: later, the records may be those of the next attempt
	err := d.editToken(ctx, at, func(at *v1alpha1.ApplicationToken) (err error) {
		if at.Annotations[v1alpha1.AnnotationAttempt] == attempt {
			return nil // the response to an earlier attempt was lost
		}
		if !tokenspec.DeliveredInResponse(at, d.Namespace) || at.Annotations[v1alpha1.AnnotationName] != draft.Annotations[v1alpha1.AnnotationName] ||
			at.Spec.State == v1alpha1.TokenRevoked {
			return ErrExists
		}
		if at.Spec.State == v1alpha1.TokenSuspended && !isSuspendedByAPI(at) {
			return errSuspendedInKubernetes
		}
		if left, err = d.recordsOf(ctx, at); err != nil {
			return asUnavailable(err)
		}
		if tokenspec.DeliveredRecord(at) != "" && len(left) > 0 {
			return ErrExists
		}
		delete(at.Annotations, v1alpha1.AnnotationRecord)
		maps.Copy(at.Annotations, draft.Annotations)
		at.Spec, at.OwnerReferences = *draft.Spec.DeepCopy(), draft.OwnerReferences
		controllerutil.AddFinalizer(at, v1alpha1.FinalizerRecords)
		return nil
	})
	if errors.Is(err, ErrNotFound) {
		return fmt.Errorf("%w: the previous token of this name was just deleted", ErrUnavailable)
	}
	if err != nil {
		return err
	}
	return d.retireRecords(ctx, left...)
}
