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
	"github.com/apptoken/operator/internal/issue"
	"github.com/apptoken/operator/internal/plan"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/tokenspec"
)

// Create makes a token.
func (s *Service) Create(ctx context.Context, by Caller, scope Scope, spec TokenSpec) (Issued, error) {
	at, err := s.draftToken(ctx, scope, spec)
	if err != nil {
		return Issued{}, err
	}
	return s.createFromDraft(ctx, by, at, "")
}

// createFromDraft makes a token, and withdraws its quota reservation if that fails. The version
// records the request.
func (s *Service) createFromDraft(ctx context.Context, by Caller, draft *v1alpha1.ApplicationToken, request string) (Issued, error) {
	made, err := s.attemptCreate(ctx, by, draft, request)
	if err != nil {
		s.Quota.Index.Withdraw(directory.QuotaKey(draft))
	}
	return made, err
}

// attemptCreate creates the object, then the record of its first version, and then names that
// record in the object. A later attempt may take over an object that names no record: no caller has
// received a version of it.
func (s *Service) attemptCreate(ctx context.Context, by Caller, draft *v1alpha1.ApplicationToken, request string) (Issued, error) {
	desired, refs, err := s.buildDesired(ctx, draft, true)
	if err == nil {
		err = errorFromRefusal(desired, refs)
	}
	if err == nil {
		err = permitAuthority(by, authorityOf(desired, s.expiryOf(desired)))
	}
	if err != nil {
		return Issued{}, err
	}
	tok, attempt, err := s.mint(desired.Kind)
	if err != nil {
		return Issued{}, err
	}
	draft.Annotations[v1alpha1.AnnotationAttempt] = attempt
	at, err := s.openObject(ctx, draft, attempt)
	if err != nil {
		return Issued{}, err
	}
	now := s.now()
	rec := issue.NewRecord(now, at, desired, plan.FirstVersion(now, desired.Desired), tok)
	rec.Request = request
	if at.Status.Rotations > 0 {
		rec.Version = at.Status.Rotations + 2 // all its earlier records are gone
	}
	rec, outcome, err := s.issuer().Issue(ctx, record.Record{}, rec, s.firstVersionArbiter(by, at, attempt))
	switch {
	case outcome == issue.Committed:
		return Issued{Token: s.tokenView(at, &rec), Secret: tok}, nil
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrExists):
		return Issued{}, ErrExists
	case outcome == issue.Lost:
		s.discardObject(ctx, at, attempt)
	}
	return Issued{}, asUnavailable(err) // a later attempt takes over what is left
}

// firstVersionArbiter returns the Arbiter of a first version: it names the record in the object, as
// long as the object is that of this attempt.
func (s *Service) firstVersionArbiter(by Caller, at *v1alpha1.ApplicationToken, attempt string) issue.Arbiter {
	return func(ctx context.Context, rec record.Record) (issue.Outcome, error) {
		err := s.editToken(ctx, at, func(at *v1alpha1.ApplicationToken) error {
			if at.Annotations[v1alpha1.AnnotationRecord] == rec.Name() {
				return nil // the response to an earlier attempt was lost
			}
			if at.Annotations[v1alpha1.AnnotationAttempt] != attempt {
				return ErrExists // another attempt took it over
			}
			if why := tokenspec.WithheldRefusal(at); why != nil { // several replicas made tokens at once, and this one exceeds the quota
				return &Refused{Message: why.Message, QuotaExceeded: true}
			}
			now, _, err := s.buildDesired(ctx, at, false) // another writer may have changed it since
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
		refused, ok := errors.AsType[*Refused](err)
		_, denied := errors.AsType[*Denied](err)
		switch {
		case err == nil:
			return issue.Committed, nil
		case ok && refused.QuotaExceeded, denied, errors.Is(err, ErrExists), errors.Is(err, ErrNotFound):
			return issue.Lost, err
		default:
			return issue.Undecided, err
		}
	}
}

// discardObject deletes an object whose token no caller has received, so that it takes no quota
// from tokens in use. The reconciler may write to it at the same time. An object that discardObject
// cannot delete waits for quota, and a later attempt takes it over.
func (s *Service) discardObject(ctx context.Context, at *v1alpha1.ApplicationToken, attempt string) {
	for range maxWriteAttempts {
		var now v1alpha1.ApplicationToken
		if err := s.Live.Get(ctx, client.ObjectKeyFromObject(at), &now); err != nil || now.Annotations[v1alpha1.AnnotationAttempt] != attempt {
			return
		}
		err := s.Client.Delete(ctx, &now, client.Preconditions{UID: &now.UID, ResourceVersion: &now.ResourceVersion})
		if err == nil {
			s.removeFinalizer(ctx, &now)
		}
		if !apierrors.IsConflict(err) {
			return
		}
	}
}

// mint makes the plaintext of a version, and a nonce that identifies the attempt to deliver it.
func (s *Service) mint(kind token.Kind) (token.Token, string, error) {
	var nonce [16]byte
	tok, err := token.Mint(kind, s.Entropy)
	if err == nil {
		_, err = io.ReadFull(s.Entropy, nonce[:])
	}
	if err != nil {
		return token.Token{}, "", asUnavailable(fmt.Errorf("mint a token: %w", err))
	}
	return tok, hex.EncodeToString(nonce[:]), nil
}

// openObject creates the object, or takes over an object that an earlier attempt left incomplete.
// It returns ErrExists if it can do neither.
func (s *Service) openObject(ctx context.Context, draft *v1alpha1.ApplicationToken, attempt string) (*v1alpha1.ApplicationToken, error) {
	at := draft.DeepCopy()
	err := s.Client.Create(ctx, at, fieldOwner)
	switch {
	case err == nil:
		return at, nil
	case apierrors.IsInvalid(err):
		return nil, invalidError(err)
	case apierr.IsRejected(err) && !apierrors.IsAlreadyExists(err):
		return nil, asUnavailable(err)
	}
	var now v1alpha1.ApplicationToken
	if readErr := s.Live.Get(ctx, client.ObjectKeyFromObject(draft), &now); readErr != nil {
		return nil, asUnavailable(errors.Join(err, readErr))
	}
	if now.Annotations[v1alpha1.AnnotationAttempt] == attempt {
		return &now, nil // the response was lost
	}
	return &now, s.takeOverObject(ctx, &now, draft)
}

// takeOverObject gives the object of an abandoned attempt to a new attempt. It ends the records
// that the former attempt left.
func (s *Service) takeOverObject(ctx context.Context, at, draft *v1alpha1.ApplicationToken) error {
	if !at.DeletionTimestamp.IsZero() {
		return fmt.Errorf("%w: the previous token of this name is being deleted", ErrUnavailable)
	}
	attempt := draft.Annotations[v1alpha1.AnnotationAttempt]
	var left []record.Record // read before the takeover: later, the records may be those of the next attempt
	err := s.editToken(ctx, at, func(at *v1alpha1.ApplicationToken) (err error) {
		if at.Annotations[v1alpha1.AnnotationAttempt] == attempt {
			return nil // the response to an earlier attempt was lost
		}
		if !tokenspec.DeliveredInResponse(at, s.Namespace) || at.Annotations[v1alpha1.AnnotationName] != draft.Annotations[v1alpha1.AnnotationName] ||
			at.Spec.State == v1alpha1.TokenRevoked {
			return ErrExists
		}
		if at.Spec.State == v1alpha1.TokenSuspended && !isSuspendedByAPI(at) {
			return errSuspendedInKubernetes
		}
		if left, err = s.recordsOf(ctx, at); err != nil {
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
	return s.retireRecords(ctx, left...)
}
