package management

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/apierr"
	"github.com/apptoken/operator/internal/directory"
	"github.com/apptoken/operator/internal/issue"
	"github.com/apptoken/operator/internal/plan"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/tokenspec"
)

// errVersionReplaced reports that another version has taken over since the object was read, or that
// a predecessor has ended or changed.
var errVersionReplaced = errors.New("another version has taken over, or a predecessor has changed")

// versionDecision holds the decision to make a version, and the state on which it was decided.
type versionDecision struct {
	desired tokenspec.Desired
	request plan.Request
	records map[string]record.Record
	plan    plan.Plan
}

// subjectRecord returns the record that the plan is about: that of the version which a new one
// supersedes or replaces.
func (t versionDecision) subjectRecord() record.Record { return t.records[t.plan.Version.Record] }

// successor is a version and its plaintext, which no caller has received yet.
type successor struct {
	record.Record // as it is stored; the zero value: it is not
	tok           token.Token
}

// makeSuccessor makes a version that takes over, and names it in the object by resource version.
// One of several calls succeeds, and the others decide again on the new state.
func (s *Service) makeSuccessor(ctx context.Context, at *v1alpha1.ApplicationToken, check deliveryCheck, r plan.Request) (Issued, error) {
	var mine successor
	var t versionDecision
	fail := func(err error) (Issued, error) {
		if mine.UID != "" {
			s.discardRecord(ctx, mine.Record)
		}
		return Issued{}, asUnavailable(err)
	}
	commit := s.successorArbiter(at)
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
		mine.Record, outcome, err = s.issuer().Issue(ctx, mine.Record, t.newRecord(s.now(), at, mine.tok), commit)
		switch {
		case outcome == issue.Committed:
			return s.finishSuccessor(ctx, at, t, mine), nil
		case errors.Is(err, record.ErrStale), errors.Is(err, record.ErrGone): // another writer changed the stored record
			s.discardRecord(ctx, mine.Record)
			mine = successor{}
		case err != nil: // the write may have succeeded all the same: a later request deals with what is left
			return Issued{}, asUnavailable(err)
		}
	}
	return fail(fmt.Errorf("%s keeps changing", at.Name))
}

// newRecord returns the record of the version that was decided.
func (t versionDecision) newRecord(now time.Time, at *v1alpha1.ApplicationToken, tok token.Token) record.Record {
	r := issue.NewRecord(now, at, t.desired, t.plan, tok)
	r.Request = t.request.ID
	return r
}

// successorArbiter returns the Arbiter of a successor: it names the record in the object, under the
// resource version on which was decided. If another writer came first, at is the object as it is
// then.
func (s *Service) successorArbiter(at *v1alpha1.ApplicationToken) issue.Arbiter {
	unanswered := 0
	return func(ctx context.Context, r record.Record) (issue.Outcome, error) {
		before := at.DeepCopy()
		tokenspec.SetDeliveredRecord(at, r.Name())
		err := s.Client.Patch(ctx, at, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}), fieldOwner)
		if err == nil {
			return issue.Committed, nil
		}
		refused := apierr.IsRejected(err) && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err)
		if !apierr.IsRejected(err) {
			unanswered++
		}
		var now v1alpha1.ApplicationToken
		if readErr := s.Live.Get(ctx, client.ObjectKeyFromObject(before), &now); client.IgnoreNotFound(readErr) != nil {
			return issue.Undecided, err
		} else if readErr != nil || now.UID != before.UID || !now.DeletionTimestamp.IsZero() {
			return issue.Lost, ErrNotFound
		}
		*at = now
		switch {
		case tokenspec.DeliveredRecord(at) == r.Name():
			return issue.Committed, nil
		case refused && unanswered == 0: // it would be refused again
			return issue.Lost, asUnavailable(err)
		case refused, unanswered > maxUnansweredWrites:
			return issue.Undecided, err
		default:
			return issue.Undecided, nil
		}
	}
}

// decideVersion observes the state at the API server and decides. Like the planner, it makes room
// for another predecessor first. If the process crashed after the version was made, nothing else
// would make room, and more predecessors would be left than are allowed.
func (s *Service) decideVersion(ctx context.Context, at *v1alpha1.ApplicationToken, check deliveryCheck, r plan.Request) (versionDecision, error) {
	desired, refs, err := s.buildDesired(ctx, at, false)
	if err == nil {
		err = checkActive(desired, refs)
	}
	if err == nil {
		err = check(authorityOf(desired, s.expiryOf(desired)))
	}
	if err != nil {
		return versionDecision{}, err
	}
	list, err := s.recordsOf(ctx, at)
	if err != nil {
		return versionDecision{}, err
	}
	t := versionDecision{desired: desired, request: r, records: make(map[string]record.Record, len(list))}
	for _, r := range list {
		t.records[r.Name()] = r
	}
	have := observedFromRecords(at, list, tokenspec.DeliveredRecord(at))
	if have.Current == nil {
		return versionDecision{}, s.rereadReplaced(ctx, at)
	}
	if c := have.Current; c.LastUsedAt.IsZero() && s.WasUsed(t.records[c.Record].Digest) {
		c.LastUsedAt = s.now()
	}
	have.UsesKnownFrom = directory.UsesKnownFrom(time.Time{}, s.LastOutage)
	t.plan = plan.ForRequest(s.now(), desired.Desired, have, r)
	if err := s.refusalError(t.plan, desired); err != nil {
		return versionDecision{}, err
	}
	if t.plan.Do != plan.RetireOne {
		return t, nil
	}
	return versionDecision{}, s.makeRoom(ctx, t.subjectRecord())
}

// makeRoom deletes the record of a predecessor, unless it has changed since it was read: a use that
// was written meanwhile keeps it. It returns errVersionReplaced if the caller must decide again.
func (s *Service) makeRoom(ctx context.Context, r record.Record) error {
	if err := s.issuer().RetireUnchanged(ctx, r); err != nil && !errors.Is(err, record.ErrStale) {
		return asUnavailable(err)
	}
	return errVersionReplaced
}

// rereadReplaced reads an object again whose current version is gone.
func (s *Service) rereadReplaced(ctx context.Context, at *v1alpha1.ApplicationToken) error {
	var now v1alpha1.ApplicationToken
	err := s.Live.Get(ctx, client.ObjectKeyFromObject(at), &now)
	switch {
	case apierrors.IsNotFound(err), err == nil && (now.UID != at.UID || !now.DeletionTimestamp.IsZero()):
		return ErrNotFound
	case err != nil:
		return err
	case tokenspec.DeliveredRecord(&now) == tokenspec.DeliveredRecord(at):
		return newRefused("", "the token has no valid version; revoke it, and create a new one")
	}
	*at = now
	return errVersionReplaced
}

// finishSuccessor ends what the version takes over from: the predecessor after its overlap, a
// replaced version at once. The response is sent in any case: the reconciler and garbage collection
// do what cannot be written here.
func (s *Service) finishSuccessor(ctx context.Context, at *v1alpha1.ApplicationToken, t versionDecision, mine successor) Issued {
	before := t.subjectRecord()
	if t.plan.Do == plan.Replace {
		s.discardRecord(ctx, before)
		before = t.records[before.Predecessor]
	}
	if before.Version > 0 {
		s.supersedeRecord(ctx, at, before, t.desired.Retire, mine.IssuedAt)
	}
	if t.request.Holder != "" {
		s.Events.Eventf(at, nil, corev1.EventTypeNormal, v1alpha1.EventSelfRotated, "Rotate", tokenspec.SelfRotatedNote, mine.Version, mine.Hint, before.Hint)
	}
	return Issued{Token: s.tokenView(at, &mine.Record), Secret: mine.tok}
}

// supersedeRecord records that another version took over from a version, and when that version
// ends.
func (s *Service) supersedeRecord(ctx context.Context, at *v1alpha1.ApplicationToken, r record.Record, rule plan.Retire, since time.Time) {
	_ = s.issuer().Edit(ctx, r, func(r *record.Record) bool { //nolint:errcheck // the reconciler does it then
		if !r.SupersededAt.IsZero() {
			return false
		}
		issue.SetSuperseded(r, plan.Supersession(tokenspec.PlanVersion(*r, at), since, rule))
		return true
	})
}
