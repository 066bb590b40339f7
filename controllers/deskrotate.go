package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/desk"
	"github.com/apptoken/operator/internal/plan"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

// Rotate makes a successor under the same name.
func (d *Desk) Rotate(ctx context.Context, by desk.Caller, s desk.Scope, name, key string) (desk.Issued, error) {
	at, err := d.alive(ctx, s, name)
	if err != nil {
		return desk.Issued{}, err
	}
	id := ""
	if key != "" {
		id = requestID(requestRotate, by.ID, key)
	}
	if byAnswer(at, d.Namespace) {
		return d.succeed(ctx, at, shownTo(by), plan.Request{ID: id})
	}
	if id == "" { // each request without a key is a new one
		if _, id, err = d.mint(token.Application); err != nil {
			return desk.Issued{}, err
		}
	}
	return d.request(ctx, at, plan.Request{ID: digested(id)}, v1alpha1.AnnotationRotate, id)
}

// RotateOwn makes a successor for the holder of a token. The key distinguishes the requests of the
// holder.
func (d *Desk) RotateOwn(ctx context.Context, _ desk.Caller, digest token.Digest, key string) (desk.Issued, error) {
	presented, at, err := d.presented(ctx, digest)
	if err != nil {
		return desk.Issued{}, err
	}
	if byAnswer(at, d.Namespace) {
		return d.succeed(ctx, at, toHolder, plan.Request{ID: requestID(requestSelf, presented.Name(), key), Holder: presented.Name()})
	}
	return d.request(ctx, at, plan.Request{Holder: presented.Name()}, v1alpha1.AnnotationRotateSelf, presented.Name())
}

// presented returns the record of a digest and its owner, as the API server has them.
func (d *Desk) presented(ctx context.Context, digest token.Digest) (record.Record, *v1alpha1.ApplicationToken, error) {
	r, err := d.Records.Find(ctx, digest)
	if errors.Is(err, record.ErrGone) || errors.Is(err, record.ErrAmbiguous) || err == nil && r.Owner.Kind != ownerKind {
		return record.Record{}, nil, desk.ErrMissing
	}
	if err != nil {
		return record.Record{}, nil, unavailable(err)
	}
	if r.Over(d.now()) {
		return record.Record{}, nil, refused("", "the token has expired")
	}
	var at v1alpha1.ApplicationToken
	err = d.Live.Get(ctx, types.NamespacedName{Namespace: r.Owner.Namespace, Name: r.Owner.Name}, &at)
	if apierrors.IsNotFound(err) || err == nil && (string(at.UID) != r.Owner.UID || !at.DeletionTimestamp.IsZero()) {
		return record.Record{}, nil, desk.ErrMissing
	}
	if err != nil {
		return record.Record{}, nil, unavailable(err)
	}
	return r, &at, nil
}

// request asks the reconciler to rotate a token that is delivered to a Secret. It asks by an
// annotation, since the Secret decides which version is the current one. The same value asks for
// the same rotation. The response to the caller is of this moment; the reconciler applies the same
// rules when it rotates. Administrators and holders have different annotations, so that neither
// overwrites the request of the other.
func (d *Desk) request(ctx context.Context, at *v1alpha1.ApplicationToken, r plan.Request, annotation, value string) (desk.Issued, error) {
	w, around, err := d.understand(ctx, at, false)
	if err == nil {
		err = standing(w, around)
	}
	if err != nil {
		return desk.Issued{}, err
	}
	if c := at.Status.Current; c != nil && c.ExpiresAt != nil && !d.Now().Before(c.ExpiresAt.Time) {
		return desk.Issued{}, refused("", "the token has expired; change spec.rotation.trigger in its manifest for a new version")
	}
	list, err := d.recordsOf(ctx, at)
	if err != nil {
		return desk.Issued{}, unavailable(err)
	}
	p := plan.ForRequest(d.now(), w.Desired, declared(at, list, r.Holder), r)
	asked := at.Annotations[annotation] == value || p.Do == plan.Replace || p.Why == plan.RequestDone
	if asked && p.Why != plan.SelfForbidden {
		return desk.Issued{Token: d.view(at, nil)}, nil
	}
	if err := d.refusalOf(p, w); err != nil {
		return desk.Issued{}, err
	}
	err = d.edit(ctx, at, func(at *v1alpha1.ApplicationToken) error {
		if at.Annotations == nil {
			at.Annotations = map[string]string{}
		}
		at.Annotations[annotation] = value
		return nil
	})
	if err != nil {
		return desk.Issued{}, err
	}
	return desk.Issued{Token: d.view(at, nil)}, nil
}

// declared returns the observed state of a token that is delivered to a Secret, without the Secret.
// The current version is that of the holder who asks, unless that was superseded; otherwise it is
// the version in the status.
func declared(at *v1alpha1.ApplicationToken, list []record.Record, holder string) plan.Observed {
	current := ""
	if at.Status.Current != nil {
		current = at.Status.Current.Record
	}
	for _, r := range list {
		if r.Name() == holder && r.SupersededAt.IsZero() {
			current = holder
		}
	}
	return observed(at, list, current)
}

// observed returns the observed state of a token, by its records and the name of the current one.
func observed(at *v1alpha1.ApplicationToken, list []record.Record, current string) plan.Observed {
	var o plan.Observed
	for _, r := range list {
		if v := version(r, at); v.Record == current && r.SupersededAt.IsZero() {
			o.Current = &v
		} else {
			o.Others = append(o.Others, v)
		}
	}
	slices.SortFunc(o.Others, newestFirst)
	return o
}

// refusalOf returns the error for the caller of a request for which p makes no version; nil: p
// makes one.
func (d *Desk) refusalOf(p plan.Plan, w wish) error {
	if p.Do != plan.Nothing {
		return nil
	}
	switch p.Why {
	case plan.SelfForbidden:
		return &desk.Denied{Message: fmt.Sprintf("client %s does not let holders rotate its tokens; let an administrator of the client rotate the token, "+
			"or ask its platform team to set spec.tokens.selfRotation to Allow", w.asked.client)}
	case plan.SelfRotationTooSoon, plan.RotationPending:
		return &desk.TooSoon{After: p.Wake.Sub(d.Now()), Message: p.Message}
	case plan.HolderSuperseded:
		return desk.ErrSuperseded
	case plan.RequestDone:
		return desk.ErrDone
	case plan.RequestUnknown:
		return desk.ErrTaken
	case plan.IsExpired:
		return refused("", "the token has expired; create a new one")
	default:
		return fmt.Errorf("%w: %s", desk.ErrUnavailable, p.Why)
	}
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
	id := ""
	if key != "" {
		id = requestID(requestClone, by.ID, source.Namespace+"/"+source.Name, key)
	}
	made, err := d.make(ctx, by, draft, id)
	if id == "" || !errors.Is(err, desk.ErrTaken) {
		return made, err
	}
	at, err := d.alive(ctx, s, as)
	if errors.Is(err, desk.ErrMissing) || err == nil && deliveredRecord(at) == "" {
		return desk.Issued{}, desk.ErrTaken
	}
	if err != nil {
		return desk.Issued{}, err
	}
	return d.succeed(ctx, at, shownTo(by), plan.Request{ID: id, RetryOnly: true})
}
