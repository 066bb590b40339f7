package management

import (
	"context"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
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

// newRecord returns the record of the version that was decided.
func (t versionDecision) newRecord(now time.Time, at *v1alpha1.ApplicationToken, tok token.Token) record.Record {
	r := issue.NewRecord(now, at, t.desired, t.plan, tok)
	r.Request = t.request.ID
	return r
}

// decideVersion observes the state at the API server and decides. Like the planner, it makes room
// for another predecessor first. If the process crashed after the version was made, nothing else
// would make room, and more predecessors would be left than are allowed.
func (s *Service) decideVersion(ctx context.Context, at *v1alpha1.ApplicationToken, check deliveryCheck, r plan.Request) (versionDecision, error) {
	desired, err := s.buildActive(ctx, at)
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
