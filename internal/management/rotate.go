package management

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/apierr"
	"github.com/apptoken/operator/internal/issue"
	"github.com/apptoken/operator/internal/plan"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/tokenspec"
)

// Rotate makes a successor under the same name.
func (s *Service) Rotate(ctx context.Context, by Caller, scope Scope, name, key string) (Issued, error) {
	at, err := s.findLiveToken(ctx, scope, name)
	if err != nil {
		return Issued{}, err
	}
	id := ""
	if key != "" {
		id = tokenspec.RequestID(tokenspec.RequestRotate, by.ID, key)
	}
	if tokenspec.DeliveredInResponse(at, s.Namespace) {
		return s.makeSuccessor(ctx, at, deliverToCaller(by), plan.Request{ID: id})
	}
	if id == "" { // each request without a key is a new one
		if _, id, err = s.mint(token.Application); err != nil {
			return Issued{}, err
		}
	}
	return s.requestRotation(ctx, at, plan.Request{ID: tokenspec.ShortDigest(id)}, v1alpha1.AnnotationRotate, id)
}

// RotateOwn makes a successor for the holder of a token. The key distinguishes the requests of the
// holder.
func (s *Service) RotateOwn(ctx context.Context, _ Caller, digest token.Digest, key string) (Issued, error) {
	presented, at, err := s.findPresented(ctx, digest)
	if err != nil {
		return Issued{}, err
	}
	if tokenspec.DeliveredInResponse(at, s.Namespace) {
		return s.makeSuccessor(ctx, at, deliverToHolder, plan.Request{ID: tokenspec.RequestID(tokenspec.RequestSelf, presented.Name(), key), Holder: presented.Name()})
	}
	return s.requestRotation(ctx, at, plan.Request{Holder: presented.Name()}, v1alpha1.AnnotationRotateSelf, presented.Name())
}

// findPresented returns the record of a digest and its owner, as the API server has them.
func (s *Service) findPresented(ctx context.Context, digest token.Digest) (record.Record, *v1alpha1.ApplicationToken, error) {
	r, err := s.Records.Find(ctx, digest)
	if errors.Is(err, record.ErrGone) || errors.Is(err, record.ErrAmbiguous) || err == nil && r.Owner.Kind != tokenspec.OwnerKind {
		return record.Record{}, nil, ErrNotFound
	}
	if err != nil {
		return record.Record{}, nil, asUnavailable(err)
	}
	if r.IsOver(s.now()) {
		return record.Record{}, nil, newRefused("", "the token has expired")
	}
	var at v1alpha1.ApplicationToken
	err = s.Live.Get(ctx, types.NamespacedName{Namespace: r.Owner.Namespace, Name: r.Owner.Name}, &at)
	if apierrors.IsNotFound(err) || err == nil && (string(at.UID) != r.Owner.UID || !at.DeletionTimestamp.IsZero()) {
		return record.Record{}, nil, ErrNotFound
	}
	if err != nil {
		return record.Record{}, nil, asUnavailable(err)
	}
	return r, &at, nil
}

// makeSuccessor makes a version that takes over, and names it in the object by resource version.
// One of several calls succeeds, and the others decide again on the new state.
func (s *Service) makeSuccessor(ctx context.Context, at *v1alpha1.ApplicationToken, check deliveryCheck, r plan.Request) (Issued, error) {
	var mine successor
	var t versionDecision
	arbiter := &successorArbiter{Service: s, at: at}
	fail := func(err error) (Issued, error) {
		if mine.UID != "" && arbiter.unanswered == 0 { // otherwise a write that names it may still succeed
			s.discardRecord(ctx, mine.Record)
		}
		return Issued{}, asUnavailable(err)
	}
	for range maxWriteAttempts {
		now, err := s.decideVersion(ctx, at, check, r)
		switch {
		case errors.Is(err, errVersionReplaced) && mine.UID != "" && tokenspec.DeliveredRecord(at) == mine.Name(): // and the response was lost
			return s.finishSuccessor(ctx, at, t, mine), nil
		case errors.Is(err, errVersionReplaced):
			continue
		case err != nil:
			return fail(err)
		}
		t = now
		if mine.tok.Kind() == 0 {
			if mine.tok, _, err = s.mint(t.desired.Kind); err != nil {
				return fail(err)
			}
		}
		var outcome issue.Outcome
		mine.Record, outcome, err = s.issuer().Issue(ctx, mine.Record, t.newRecord(s.now(), at, mine.tok), arbiter.commit)
		switch {
		case outcome == issue.Committed:
			return s.finishSuccessor(ctx, at, t, mine), nil
		case outcome == issue.Lost:
			return Issued{}, asUnavailable(err)
		case (errors.Is(err, record.ErrStale) || errors.Is(err, record.ErrGone)) && arbiter.unanswered == 0: // another writer changed the stored record
			s.discardRecord(ctx, mine.Record)
			mine = successor{}
		case err != nil: // a later request, or garbage collection, deals with what is left
			return Issued{}, asUnavailable(err)
		}
	}
	return fail(fmt.Errorf("%s keeps changing", at.Name))
}

// successorArbiter is the Arbiter of a successor: it names the record in the object, under the
// resource version on which was decided. If another writer came first, at is the object as it is
// then.
type successorArbiter struct {
	*Service
	at         *v1alpha1.ApplicationToken
	unanswered int // writes without a response, which may still succeed
}

func (a *successorArbiter) commit(ctx context.Context, r record.Record) (issue.Outcome, error) {
	before := a.at.DeepCopy()
	tokenspec.SetDeliveredRecord(a.at, r.Name())
	err := a.Client.Patch(ctx, a.at, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}), fieldOwner)
	if err == nil {
		return issue.Committed, nil
	}
	refused := apierr.IsRefused(err)
	if !refused && !apierrors.IsConflict(err) {
		a.unanswered++
	}
	var now v1alpha1.ApplicationToken
	if readErr := a.Live.Get(ctx, client.ObjectKeyFromObject(before), &now); client.IgnoreNotFound(readErr) != nil {
		return issue.Undecided, err
	} else if readErr != nil || now.UID != before.UID || !now.DeletionTimestamp.IsZero() {
		return issue.Lost, ErrNotFound
	}
	*a.at = now
	switch {
	case tokenspec.DeliveredRecord(a.at) == r.Name():
		return issue.Committed, nil
	case refused && a.unanswered == 0: // it would be refused again
		return issue.Lost, err
	case refused, a.unanswered > maxUnansweredWrites:
		return issue.Undecided, err
	default:
		return issue.Undecided, nil
	}
}
