package applicationtoken

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/apierr"
	"github.com/apptoken/operator/internal/issue"
	"github.com/apptoken/operator/internal/plan"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/tokenspec"
)

// errSecretConflict reports that another writer changed the Secret first. The next pass reads and
// decides again.
var errSecretConflict = apierrors.NewConflict(corev1.Resource("secrets"), "", errors.New("another pass wrote the Secret first"))

// execute performs the action of the plan, and records its result in the observed state.
func (p *pass) execute(ctx context.Context) error {
	before := p.records[p.plan.Version.Record]
	after := before
	switch p.plan.Do {
	case plan.Issue:
		return p.issue(ctx)
	case plan.Supersede:
		issue.SetSuperseded(&after, p.plan)
		return p.changeRecord(ctx, before, after)
	case plan.Change:
		after.Owner.UID, after.UserUID, after.ExpiresAt = string(p.at.UID), p.plan.UserUID, p.plan.ExpiresAt
		if !p.plan.IssuedAt.IsZero() {
			after.IssuedAt = p.plan.IssuedAt
			if after.AuthorizedAt.After(p.plan.IssuedAt) {
				after.AuthorizedAt = p.plan.IssuedAt
			}
		}
		issue.SetGrants(&after, p.spec)
		return p.changeRecord(ctx, before, after)
	case plan.RetireOne:
		if err := p.issuer().RetireUnchanged(ctx, before); err != nil {
			return err
		}
		delete(p.records, p.plan.Version.Record)
		p.recordRetiredEvent()
		return nil
	case plan.RetireAll:
		return p.retireAll(ctx)
	case plan.Render:
		return p.renderSecret(ctx, before)
	case plan.Nothing:
		return nil
	default:
		return fmt.Errorf("unknown action %d", p.plan.Do)
	}
}

func (p *pass) changeRecord(ctx context.Context, before, after record.Record) error {
	changed, err := p.Records.Change(ctx, before, after)
	if err != nil {
		return err
	}
	changed.LastUsedAt, changed.LastUsedFrom = before.LastUsedAt, before.LastUsedFrom
	p.records[changed.Name()] = changed
	return nil
}

// issue makes a version, and the Secret decides whether it becomes current.
func (p *pass) issue(ctx context.Context) error {
	stored, tok, again := p.pendingVersion()
	if !again {
		var err error
		if tok, err = token.Mint(p.spec.Kind, p.Entropy); err != nil {
			return fmt.Errorf("mint a token: %w", err)
		}
	}
	rec := issue.NewRecord(p.now, p.at, p.spec, p.plan, tok)
	rec.Version, rec.Trigger, rec.Request = p.nextVersionNumber(), p.spec.Trigger, p.spec.Request
	secret := p.secretCopy()
	if err := p.spec.WriteSecret(secret, p.at, rec, tok); err != nil {
		return err // nothing is written yet
	}
	if err := p.writeBackoff.pendingRefusal(p.Now(), p.at, secret); err != nil {
		return err
	}
	if err := p.addFinalizer(ctx); err != nil {
		return err
	}
	p.pendingTokens.keep(p.at, tok)
	rec, outcome, err := p.issuer().Issue(ctx, stored, rec, p.secretArbiter(secret))
	if left, is := errors.AsType[*issue.RecordLeftError](err); is {
		return errors.Join(errSecretConflict, left.Err) // the next pass observes what is left, and decides again
	}
	if outcome == issue.Committed {
		p.records[rec.Name()] = rec
		p.recordIssuedEvent(rec)
	}
	return err
}

// secretCopy returns a copy of the token's Secret, or an empty one if there is none.
func (p *pass) secretCopy() *corev1.Secret {
	if p.secret == nil {
		return &corev1.Secret{}
	}
	return p.secret.DeepCopy()
}

// nextVersionNumber returns the number after the highest version that the status or a record names.
// The pending record does not count.
func (p *pass) nextVersionNumber() int64 {
	var last int64
	if p.at.Status.Current != nil {
		last = p.at.Status.Rotations + 1
	}
	for name, rec := range p.records {
		if name != p.pendingRecord {
			last = max(last, rec.Version)
		}
	}
	return last + 1
}

// secretArbiter returns the Arbiter of a version that is delivered to a Secret: it writes the
// Secret. Where several passes try, the Secret's creation or its resource version decides which of
// them wins. As long as it is undecided, the next attempt uses the same token.
func (p *pass) secretArbiter(secret *corev1.Secret) issue.Arbiter {
	return func(ctx context.Context, rec record.Record) (issue.Outcome, error) {
		existed := secret.ResourceVersion != ""
		err := p.writeSecret(ctx, secret)
		if err != nil && !apierr.IsRejected(err) {
			return issue.Undecided, fmt.Errorf("write Secret %s: %w", secret.Name, err)
		}
		live, foreign := secret, false
		if err != nil {
			var readErr error
			if live, foreign, readErr = p.readSecret(ctx, client.ObjectKeyFromObject(secret)); readErr != nil {
				return issue.Undecided, errors.Join(errSecretConflict, readErr)
			}
		}
		p.pendingTokens.forget(p.at)
		switch {
		case err == nil, live != nil && tokenspec.HoldsRecord(live, rec):
			p.secret, p.isDelivered, p.isAdopted = live, true, existed
			return issue.Committed, nil
		case apierrors.IsAlreadyExists(err) && (foreign || live != nil && !p.ownsSecret(live)):
			p.secret, p.isForeign = live, true
			return issue.Lost, nil // the planner decides what follows
		case apierrors.IsAlreadyExists(err), apierrors.IsConflict(err), apierrors.IsNotFound(err):
			return issue.Lost, errSecretConflict
		default:
			return issue.Lost, p.writeBackoff.recordRejection(p.Now(), p.at, secret, err)
		}
	}
}

func (r *Reconciler) writeSecret(ctx context.Context, secret *corev1.Secret) error {
	if secret.ResourceVersion == "" {
		return r.Client.Create(ctx, secret)
	}
	return r.Client.Update(ctx, secret)
}

// renderSecret writes the token that the Secret holds again, as the spec now asks. If the spec
// names another Secret, renderSecret writes that one.
func (p *pass) renderSecret(ctx context.Context, rec record.Record) error {
	secret := p.secretCopy()
	if err := p.spec.WriteSecret(secret, p.at, rec, p.token); err != nil {
		return err
	}
	if err := p.writeBackoff.pendingRefusal(p.Now(), p.at, secret); err != nil {
		return err
	}
	err := p.writeSecret(ctx, secret)
	switch {
	case apierrors.IsAlreadyExists(err):
		live, foreign, err := p.readSecret(ctx, client.ObjectKeyFromObject(secret))
		if err != nil {
			return err
		}
		if !foreign && live != nil && p.ownsSecret(live) {
			return errSecretConflict
		}
		p.isForeign = true
		return nil
	case apierr.IsRefused(err):
		return p.writeBackoff.recordRejection(p.Now(), p.at, secret, err)
	case err != nil:
		return fmt.Errorf("write Secret %s: %w", secret.Name, err)
	}
	p.secret = secret
	if !p.spec.IsCurrent(secret, p.at, rec, p.token) { // writing it again would have the same result
		return p.writeBackoff.recordMutation(p.Now(), p.at, secret)
	}
	return nil
}

// deleteFormerSecret deletes the Secret of the former name once the Secret of the new name holds
// the token.
func (p *pass) deleteFormerSecret(ctx context.Context) error {
	if p.formerSecret == nil || p.secret == nil || p.Current == nil || p.Secret == plan.SecretForeign {
		return nil
	}
	if err := p.deleteSecret(ctx, p.formerSecret); err != nil {
		return err
	}
	p.formerSecret = nil
	return nil
}

// restoreRecordAnnotation restores the annotation by which a token of delivery Response names its
// record.
func (p *pass) restoreRecordAnnotation(ctx context.Context, name string) error {
	before := p.at.DeepCopy()
	tokenspec.SetDeliveredRecord(p.at, name)
	if err := p.patchToken(ctx, before); err != nil {
		return fmt.Errorf("restore the annotation %s: %w", v1alpha1.AnnotationRecord, err)
	}
	return nil
}
