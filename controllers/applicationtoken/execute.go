package applicationtoken

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/apierr"
	"github.com/apptoken/operator/internal/plan"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/tokenspec"
)

// errSecretConflict reports that another writer changed the Secret first. The next pass reads and
// decides again.
var errSecretConflict = apierrors.NewConflict(corev1.Resource("secrets"), "", errors.New("another pass wrote the Secret first"))

// execute performs the action of p, and records its result in s.
func (r *Reconciler) execute(ctx context.Context, now time.Time, at *v1alpha1.ApplicationToken, w tokenspec.Spec, s *observed, p plan.Plan) error {
	before := s.records[p.Version.Record]
	switch p.Do {
	case plan.Issue:
		return r.issue(ctx, now, at, w, s, p)
	case plan.Supersede:
		after := before
		after.SupersededAt, after.ExpiresAt = p.SupersededAt, p.ExpiresAt
		return r.changeRecord(ctx, s, before, after)
	case plan.Change:
		after := before
		after.Owner.UID, after.UserUID, after.ExpiresAt = string(at.UID), p.UserUID, p.ExpiresAt
		if !p.IssuedAt.IsZero() {
			after.IssuedAt = p.IssuedAt
			if after.AuthorizedAt.After(p.IssuedAt) {
				after.AuthorizedAt = p.IssuedAt
			}
		}
		if g := w.Grants; g != nil {
			after.Kind, after.Client, after.User, after.Suspended = w.Kind, g.Client, g.User, g.Suspended
			after.Roles, after.Permissions, after.SourceRanges = g.Roles, g.Permissions, g.SourceRanges
		}
		return r.changeRecord(ctx, s, before, after)
	case plan.RetireOne:
		if err := r.Records.Retire(ctx, before); err != nil {
			return err
		}
		delete(s.records, p.Version.Record)
		r.recordRetiredEvent(at, p)
		return nil
	case plan.RetireAll:
		return r.retireAll(ctx, at, s)
	case plan.Render:
		return r.renderSecret(ctx, at, w, s, before)
	case plan.Nothing:
		return nil
	default:
		return fmt.Errorf("unknown action %d", p.Do)
	}
}

func (r *Reconciler) changeRecord(ctx context.Context, s *observed, before, after record.Record) error {
	changed, err := r.Records.Change(ctx, before, after)
	if err != nil {
		return err
	}
	changed.LastUsedAt, changed.LastUsedFrom = before.LastUsedAt, before.LastUsedFrom
	s.records[changed.Name()] = changed
	return nil
}

// issue makes a version: record first, Secret second. A crash between the two leaves a record whose
// plaintext no consumer has. Garbage collection deletes it.
func (r *Reconciler) issue(ctx context.Context, now time.Time, at *v1alpha1.ApplicationToken, w tokenspec.Spec, s *observed, p plan.Plan) error {
	tok, again := r.pendingTokens.recall(at, s)
	if !again {
		var err error
		if tok, err = token.Mint(w.Kind, r.Entropy); err != nil {
			return fmt.Errorf("mint a token: %w", err)
		}
	}
	rec := record.Record{
		Kind: w.Kind, Digest: tok.Digest(), Hint: tok.Hint(), Owner: tokenspec.OwnerOf(at),
		Client: w.Grants.Client, User: w.Grants.User, UserUID: p.UserUID, Roles: w.Grants.Roles, Permissions: w.Grants.Permissions, SourceRanges: w.Grants.SourceRanges,
		IssuedAt: now, AuthorizedAt: p.AuthorizedAt, ExpiresAt: p.ExpiresAt,
		Version: nextVersionNumber(at, s), Trigger: w.Trigger, Request: w.Request, Predecessor: p.Version.Record,
	}
	secret := &corev1.Secret{}
	if s.secret != nil {
		secret = s.secret.DeepCopy()
	}
	if err := w.WriteSecret(secret, at, rec, tok); err != nil {
		return err // nothing is written yet
	}
	if err := r.writeBackoff.pendingRefusal(r.Now(), at, secret); err != nil {
		return err
	}
	if err := r.addFinalizer(ctx, at); err != nil {
		return err
	}
	r.pendingTokens.keep(at, tok)
	var err error
	if stored := s.records[rec.Name()]; again {
		rec, err = r.Records.Renew(ctx, stored, rec)
	} else {
		rec, err = r.Records.Add(ctx, rec)
	}
	if err != nil {
		return err
	}
	if err := r.deliverSecret(ctx, at, s, secret, rec); err != nil || s.isForeign {
		return err
	}
	s.records[rec.Name()] = rec
	r.recordIssuedEvent(at, p, rec)
	return nil
}

// nextVersionNumber returns the number after the highest version that the status or a record names.
// The pending record does not count.
func nextVersionNumber(at *v1alpha1.ApplicationToken, s *observed) int64 {
	var last int64
	if at.Status.Current != nil {
		last = at.Status.Rotations + 1
	}
	for name, rec := range s.records {
		if name != s.pendingRecord {
			last = max(last, rec.Version)
		}
	}
	return last + 1
}

// deliverSecret writes the Secret that makes rec the current record. Where several passes try, the
// Secret's creation or its resource version decides which of them wins. The loser deletes its
// record, but only once it certainly lost: a response can be lost, or answer a repetition of a
// write that was applied. Until then the next attempt uses the same token.
func (r *Reconciler) deliverSecret(ctx context.Context, at *v1alpha1.ApplicationToken, s *observed, secret *corev1.Secret, rec record.Record) error {
	there := secret.ResourceVersion != ""
	err := r.writeSecret(ctx, secret)
	if err == nil {
		r.pendingTokens.forget(at)
		s.secret, s.isDelivered, s.isAdopted = secret, true, there
		return nil
	}
	if !apierr.IsRejected(err) {
		return fmt.Errorf("write Secret %s: %w", secret.Name, err)
	}
	key := types.NamespacedName{Namespace: at.Namespace, Name: secret.Name}
	live, foreign, readErr := r.readSecret(ctx, at, s, key)
	if readErr != nil {
		return errors.Join(errSecretConflict, readErr)
	}
	r.pendingTokens.forget(at)
	if live != nil && tokenspec.HoldsRecord(live, rec) {
		s.secret, s.isDelivered, s.isAdopted = live, true, there
		return nil
	}
	if retireErr := r.Records.RetireAnyway(ctx, rec); retireErr != nil {
		return errors.Join(errSecretConflict, retireErr)
	}
	switch {
	case apierrors.IsAlreadyExists(err) && (foreign || live != nil && !s.ownsSecret(at, live)):
		s.secret, s.isForeign = live, true
		return nil // the planner decides what follows
	case apierrors.IsAlreadyExists(err), apierrors.IsConflict(err), apierrors.IsNotFound(err):
		return errSecretConflict
	default:
		return r.writeBackoff.recordRejection(r.Now(), at, secret, err)
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
func (r *Reconciler) renderSecret(ctx context.Context, at *v1alpha1.ApplicationToken, w tokenspec.Spec, s *observed, rec record.Record) error {
	secret := &corev1.Secret{}
	if s.secret != nil {
		secret = s.secret.DeepCopy()
	}
	if err := w.WriteSecret(secret, at, rec, s.token); err != nil {
		return err
	}
	if err := r.writeBackoff.pendingRefusal(r.Now(), at, secret); err != nil {
		return err
	}
	err := r.writeSecret(ctx, secret)
	switch {
	case apierrors.IsAlreadyExists(err):
		live, foreign, err := r.readSecret(ctx, at, s, client.ObjectKeyFromObject(secret))
		if err != nil {
			return err
		}
		if !foreign && live != nil && s.ownsSecret(at, live) {
			return errSecretConflict
		}
		s.isForeign = true
		return nil
	case apierr.IsRejected(err) && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err):
		return r.writeBackoff.recordRejection(r.Now(), at, secret, err)
	case err != nil:
		return fmt.Errorf("write Secret %s: %w", secret.Name, err)
	}
	s.secret = secret
	if !w.IsCurrent(secret, at, rec, s.token) { // writing it again would have the same result
		return r.writeBackoff.recordMutation(r.Now(), at, secret)
	}
	return nil
}

// deleteFormerSecret deletes the Secret of the former name once the Secret of the new name holds
// the token.
func (r *Reconciler) deleteFormerSecret(ctx context.Context, s *observed) error {
	if s.formerSecret == nil || s.secret == nil || s.Current == nil || s.Secret == plan.SecretForeign {
		return nil
	}
	if err := r.deleteSecret(ctx, s.formerSecret); err != nil {
		return err
	}
	s.formerSecret = nil
	return nil
}

// restoreRecordAnnotation restores the annotation by which a token of delivery Response names its
// record.
func (r *Reconciler) restoreRecordAnnotation(ctx context.Context, at *v1alpha1.ApplicationToken, name string) error {
	before := at.DeepCopy()
	tokenspec.SetNamedRecord(at, name)
	if err := r.patchToken(ctx, before, at); err != nil {
		return fmt.Errorf("restore the annotation %s: %w", v1alpha1.AnnotationRecord, err)
	}
	return nil
}
