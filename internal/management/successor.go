package management

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/directory"
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
	record.Record
	tok token.Token
}

// makeSuccessor makes a version that takes over, and names it in the object by resource version.
// One of several calls succeeds, and the others decide again on the new state.
func (s *Service) makeSuccessor(ctx context.Context, at *v1alpha1.ApplicationToken, check deliveryCheck, r plan.Request) (Issued, error) {
	var mine *successor
	fail := func(err error) (Issued, error) {
		if mine != nil {
			s.discardRecord(ctx, mine.Record)
		}
		return Issued{}, asUnavailable(err)
	}
	landed := func() bool { return mine != nil && tokenspec.DeliveredRecord(at) == mine.Name() } // and the response was lost
	unanswered := 0
	var t versionDecision
	for range maxWriteAttempts {
		now, err := s.decideVersion(ctx, at, check, r)
		switch {
		case errors.Is(err, errVersionReplaced) && landed():
			return s.finishSuccessor(ctx, at, t, mine), nil
		case errors.Is(err, errVersionReplaced):
			continue
		case err != nil:
			return fail(err)
		}
		t = now
		if mine, err = s.storeSuccessor(ctx, at, t, mine); err != nil {
			return fail(err)
		}
		before := at.DeepCopy()
		tokenspec.SetDeliveredRecord(at, mine.Name())
		err = s.Client.Patch(ctx, at, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}), fieldOwner)
		if err == nil {
			return s.finishSuccessor(ctx, at, t, mine), nil
		}
		if !apierrors.IsConflict(err) {
			unanswered++
		}
		var read v1alpha1.ApplicationToken
		if readErr := s.Live.Get(ctx, client.ObjectKeyFromObject(before), &read); client.IgnoreNotFound(readErr) != nil {
			return Issued{}, asUnavailable(err) // the write may have succeeded all the same: a later request deals with what is left
		} else if readErr != nil || read.UID != before.UID || !read.DeletionTimestamp.IsZero() {
			return fail(ErrNotFound)
		}
		*at = read
		if landed() {
			return s.finishSuccessor(ctx, at, t, mine), nil
		}
		if unanswered > maxUnansweredWrites {
			return Issued{}, asUnavailable(err)
		}
	}
	return fail(fmt.Errorf("%s keeps changing", at.Name))
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
	err := s.Records.Retire(ctx, r)
	if errors.Is(err, record.ErrStale) {
		return errVersionReplaced
	}
	if err != nil {
		return asUnavailable(err)
	}
	s.Ended(r.Digest)
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

// storeSuccessor stores the record of the version that t asks for. It keeps the record that was
// stored for an earlier attempt if the two are interchangeable.
func (s *Service) storeSuccessor(ctx context.Context, at *v1alpha1.ApplicationToken, t versionDecision, mine *successor) (*successor, error) {
	tok, _, err := s.mint(t.desired.Kind)
	if err != nil {
		return mine, err
	}
	r, c := s.firstRecord(at, t.desired, tok), t.subjectRecord()
	r.Version, r.Predecessor, r.Request = c.Version+1, c.Name(), t.request.ID
	r.AuthorizedAt, r.ExpiresAt = t.plan.AuthorizedAt, t.plan.ExpiresAt
	if t.plan.Do == plan.Replace { // the same version once more
		r.Version, r.Predecessor, r.IssuedAt, r.AuthorizedAt = c.Version, c.Predecessor, c.IssuedAt, c.AuthorizedAt
	}
	if mine != nil && isInterchangeable(mine.Record, r) {
		return mine, nil
	}
	if mine != nil {
		s.discardRecord(ctx, mine.Record)
	}
	if r, err = s.addRecord(ctx, r); err != nil {
		return nil, err
	}
	return &successor{r, tok}, nil
}

// isInterchangeable reports whether a stored record can serve in place of another.
func isInterchangeable(a, b record.Record) bool {
	return a.Version == b.Version && a.Predecessor == b.Predecessor && a.Request == b.Request && a.Client == b.Client && a.User == b.User && a.UserUID == b.UserUID &&
		a.Kind == b.Kind && a.Suspended == b.Suspended && slices.Equal(a.Roles, b.Roles) &&
		slices.Equal(a.Permissions, b.Permissions) && slices.Equal(a.SourceRanges, b.SourceRanges) &&
		a.IssuedAt.Equal(b.IssuedAt) && a.AuthorizedAt.Equal(b.AuthorizedAt) && a.ExpiresAt.Equal(b.ExpiresAt)
}

// finishSuccessor ends what the version takes over from: the predecessor after its overlap, a
// replaced version at once. The response is sent in any case: the reconciler and garbage collection
// do what cannot be written here.
func (s *Service) finishSuccessor(ctx context.Context, at *v1alpha1.ApplicationToken, t versionDecision, mine *successor) Issued {
	before := t.subjectRecord()
	if t.plan.Do == plan.Replace {
		s.discardRecord(ctx, before)
		before = t.records[before.Predecessor]
	}
	if before.Version > 0 {
		s.supersedeRecord(ctx, before, mine.IssuedAt, t.desired.Retire.Max)
	}
	if t.request.Holder != "" {
		s.Events.Eventf(at, nil, corev1.EventTypeNormal, v1alpha1.EventSelfRotated, "Rotate", tokenspec.SelfRotatedNote, mine.Version, mine.Hint, before.Hint)
	}
	return Issued{Token: s.tokenView(at, &mine.Record), Secret: mine.tok}
}

// supersedeRecord records that another version took over from a version, and when that version
// ends. It never extends a life.
func (s *Service) supersedeRecord(ctx context.Context, r record.Record, since time.Time, overlap time.Duration) {
	_ = s.editRecord(ctx, r, func(r *record.Record) bool { //nolint:errcheck // the reconciler does it then
		if !r.SupersededAt.IsZero() {
			return false
		}
		r.SupersededAt, r.ExpiresAt = since, plan.Earliest(r.ExpiresAt, since.Add(overlap))
		return true
	})
}
