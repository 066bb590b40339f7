package management

import (
	"context"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/plan"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/tokenspec"
)

// Rotate makes a successor under the same name.
func (d *Service) Rotate(ctx context.Context, by Caller, s Scope, name, key string) (Issued, error) {
	at, err := d.findLiveToken(ctx, s, name)
	if err != nil {
		return Issued{}, err
	}
	id := ""
	if key != "" {
		id = tokenspec.RequestID(tokenspec.RequestRotate, by.ID, key)
	}
	if tokenspec.DeliveredInResponse(at, d.Namespace) {
		return d.makeSuccessor(ctx, at, deliverToCaller(by), plan.Request{ID: id})
	}
	if id == "" { // each request without a key is a new one
		if _, id, err = d.mint(token.Application); err != nil {
			return Issued{}, err
		}
	}
	return d.requestRotation(ctx, at, plan.Request{ID: tokenspec.ShortDigest(id)}, v1alpha1.AnnotationRotate, id)
}

// RotateOwn makes a successor for the holder of a token. The key distinguishes the requests of the
// holder.
func (d *Service) RotateOwn(ctx context.Context, _ Caller, digest token.Digest, key string) (Issued, error) {
	presented, at, err := d.findPresented(ctx, digest)
	if err != nil {
		return Issued{}, err
	}
	if tokenspec.DeliveredInResponse(at, d.Namespace) {
		return d.makeSuccessor(ctx, at, deliverToHolder, plan.Request{ID: tokenspec.RequestID(tokenspec.RequestSelf, presented.Name(), key), Holder: presented.Name()})
	}
	return d.requestRotation(ctx, at, plan.Request{Holder: presented.Name()}, v1alpha1.AnnotationRotateSelf, presented.Name())
}

// findPresented returns the record of a digest and its owner, as the API server has them.
func (d *Service) findPresented(ctx context.Context, digest token.Digest) (record.Record, *v1alpha1.ApplicationToken, error) {
	r, err := d.Records.Find(ctx, digest)
	if errors.Is(err, record.ErrGone) || errors.Is(err, record.ErrAmbiguous) || err == nil && r.Owner.Kind != tokenspec.OwnerKind {
		return record.Record{}, nil, ErrNotFound
	}
	if err != nil {
		return record.Record{}, nil, asUnavailable(err)
	}
	if r.IsOver(d.now()) {
		return record.Record{}, nil, newRefused("", "the token has expired")
	}
	var at v1alpha1.ApplicationToken
	err = d.Live.Get(ctx, types.NamespacedName{Namespace: r.Owner.Namespace, Name: r.Owner.Name}, &at)
	if apierrors.IsNotFound(err) || err == nil && (string(at.UID) != r.Owner.UID || !at.DeletionTimestamp.IsZero()) {
		return record.Record{}, nil, ErrNotFound
	}
	if err != nil {
		return record.Record{}, nil, asUnavailable(err)
	}
	return r, &at, nil
}

// requestRotation asks the reconciler to rotate a token that is delivered to a Secret. It asks by
// an annotation, since the Secret decides which version is the current one. The same value asks for
// the same rotation. The response to the caller is of this moment; the reconciler applies the same
// rules when it rotates. Administrators and holders have different annotations, so that neither
// overwrites the request of the other.
func (d *Service) requestRotation(ctx context.Context, at *v1alpha1.ApplicationToken, r plan.Request, annotation, value string) (Issued, error) {
	w, refs, err := d.buildDesired(ctx, at, false)
	if err == nil {
		err = checkActive(w, refs)
	}
	if err != nil {
		return Issued{}, err
	}
	if c := at.Status.Current; c != nil && c.ExpiresAt != nil && !d.Now().Before(c.ExpiresAt.Time) {
		return Issued{}, newRefused("", "the token has expired; change spec.rotation.trigger in its manifest for a new version")
	}
	list, err := d.recordsOf(ctx, at)
	if err != nil {
		return Issued{}, asUnavailable(err)
	}
	p := plan.ForRequest(d.now(), w.Desired, observedDeclared(at, list, r.Holder), r)
	asked := at.Annotations[annotation] == value || p.Do == plan.Replace || p.Why == plan.RequestDone
	if asked && p.Why != plan.SelfRotationForbidden {
		return Issued{Token: d.tokenView(at, nil)}, nil
	}
	if err := d.refusalError(p, w); err != nil {
		return Issued{}, err
	}
	err = d.editToken(ctx, at, func(at *v1alpha1.ApplicationToken) error {
		if at.Annotations == nil {
			at.Annotations = map[string]string{}
		}
		at.Annotations[annotation] = value
		return nil
	})
	if err != nil {
		return Issued{}, err
	}
	return Issued{Token: d.tokenView(at, nil)}, nil
}

// observedDeclared returns the observed state of a token that is delivered to a Secret, without the
// Secret. The current version is that of the holder who asks, unless that was superseded; otherwise
// it is the version in the status.
func observedDeclared(at *v1alpha1.ApplicationToken, list []record.Record, holder string) plan.Observed {
	current := ""
	if at.Status.Current != nil {
		current = at.Status.Current.Record
	}
	for _, r := range list {
		if r.Name() == holder && r.SupersededAt.IsZero() {
			current = holder
		}
	}
	return observedFromRecords(at, list, current)
}

// observedFromRecords returns the observed state of a token, by its records and the name of the
// current one.
func observedFromRecords(at *v1alpha1.ApplicationToken, list []record.Record, current string) plan.Observed {
	var o plan.Observed
	for _, r := range list {
		if v := tokenspec.PlanVersion(r, at); v.Record == current && r.SupersededAt.IsZero() {
			o.Current = &v
		} else {
			o.Others = append(o.Others, v)
		}
	}
	slices.SortFunc(o.Others, tokenspec.CompareNewestFirst)
	return o
}

// refusalError returns the error for the caller of a request for which p makes no version; nil: p
// makes one.
func (d *Service) refusalError(p plan.Plan, w tokenspec.Spec) error {
	if p.Do != plan.Nothing {
		return nil
	}
	switch p.Why {
	case plan.SelfRotationForbidden:
		return &Denied{Message: fmt.Sprintf("client %s does not let holders rotate its tokens; let an administrator of the client rotate the token, "+
			"or ask its platform team to set spec.tokens.selfRotation to Allow", w.Requested.Client)}
	case plan.SelfRotationTooSoon, plan.RotationPending:
		return &TooSoon{After: p.Wake.Sub(d.Now()), Message: p.Message}
	case plan.HolderSuperseded:
		return ErrSuperseded
	case plan.RequestDone:
		return ErrRetryExpired
	case plan.RequestUnknown:
		return ErrExists
	case plan.IsExpired:
		return newRefused("", "the token has expired; create a new one")
	default:
		return fmt.Errorf("%w: %s", ErrUnavailable, p.Why)
	}
}

// Clone makes a token that may do what another may.
func (d *Service) Clone(ctx context.Context, by Caller, s Scope, name, as, key string) (Issued, error) {
	source, err := d.findLiveToken(ctx, s, name)
	if err != nil {
		return Issued{}, err
	}
	w, refs, err := d.buildDesired(ctx, source, false)
	if err == nil {
		err = checkActive(w, refs)
	}
	if err != nil {
		return Issued{}, err
	}
	draft, err := d.draftToken(ctx, Scope{Client: w.Requested.Client, User: s.User}, TokenSpec{
		Name: as, Roles: w.Grants.Roles, Permissions: w.Grants.Permissions, SourceRanges: w.Grants.SourceRanges, Lifetime: w.Lifetime,
	})
	if err != nil {
		return Issued{}, err
	}
	id := ""
	if key != "" {
		id = tokenspec.RequestID(tokenspec.RequestClone, by.ID, source.Namespace+"/"+source.Name, key)
	}
	made, err := d.createFromDraft(ctx, by, draft, id)
	if id == "" || !errors.Is(err, ErrExists) {
		return made, err
	}
	at, err := d.findLiveToken(ctx, s, as)
	if errors.Is(err, ErrNotFound) || err == nil && tokenspec.DeliveredRecord(at) == "" {
		return Issued{}, ErrExists
	}
	if err != nil {
		return Issued{}, err
	}
	return d.makeSuccessor(ctx, at, deliverToCaller(by), plan.Request{ID: id, RetryOnly: true})
}
