package controllers

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
	"github.com/apptoken/operator/internal/plan"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

// errLost reports that another writer changed the Secret first. The next pass reads and decides
// again.
var errLost = apierrors.NewConflict(corev1.Resource("secrets"), "", errors.New("another pass wrote the Secret first"))

// act performs the action of p, and records its result in s.
func (r *ApplicationTokens) act(ctx context.Context, now time.Time, at *v1alpha1.ApplicationToken, w wish, s *seen, p plan.Plan) error {
	before := s.records[p.Version.Record]
	switch p.Do {
	case plan.Issue:
		return r.issue(ctx, now, at, w, s, p)
	case plan.Supersede:
		after := before
		after.SupersededAt, after.ExpiresAt = p.SupersededAt, p.ExpiresAt
		return r.change(ctx, s, before, after)
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
			after.Kind, after.Client, after.User, after.Suspended = w.kind, g.Client, g.User, g.Suspended
			after.Roles, after.Permissions, after.SourceRanges = g.Roles, g.Permissions, g.SourceRanges
		}
		return r.change(ctx, s, before, after)
	case plan.RetireOne:
		if err := r.Records.Retire(ctx, before); err != nil {
			return err
		}
		delete(s.records, p.Version.Record)
		r.sayRetired(at, p)
		return nil
	case plan.RetireAll:
		return r.retireAll(ctx, at, s)
	case plan.Render:
		return r.render(ctx, at, w, s, before)
	case plan.Nothing:
		return nil
	default:
		return fmt.Errorf("unknown action %d", p.Do)
	}
}

func (r *ApplicationTokens) change(ctx context.Context, s *seen, before, after record.Record) error {
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
func (r *ApplicationTokens) issue(ctx context.Context, now time.Time, at *v1alpha1.ApplicationToken, w wish, s *seen, p plan.Plan) error {
	tok, again := r.undelivered.recall(at, s)
	if !again {
		var err error
		if tok, err = token.Mint(w.kind, r.Entropy); err != nil {
			return fmt.Errorf("mint a token: %w", err)
		}
	}
	rec := record.Record{
		Kind: w.kind, Digest: tok.Digest(), Hint: tok.Hint(), Owner: owner(at),
		Client: w.Grants.Client, User: w.Grants.User, UserUID: p.UserUID, Roles: w.Grants.Roles, Permissions: w.Grants.Permissions, SourceRanges: w.Grants.SourceRanges,
		IssuedAt: now, AuthorizedAt: p.AuthorizedAt, ExpiresAt: p.ExpiresAt,
		Version: nextNumber(at, s), Trigger: w.Trigger, Request: w.Request, Predecessor: p.Version.Record,
	}
	secret := &corev1.Secret{}
	if s.secret != nil {
		secret = s.secret.DeepCopy()
	}
	if err := w.write(secret, at, rec, tok); err != nil {
		return err // nothing is written yet
	}
	if err := r.refusals.still(r.Now(), at, secret); err != nil {
		return err
	}
	if err := r.hold(ctx, at); err != nil {
		return err
	}
	r.undelivered.keep(at, tok)
	var err error
	if stored := s.records[rec.Name()]; again {
		rec, err = r.Records.Renew(ctx, stored, rec)
	} else {
		rec, err = r.Records.Add(ctx, rec)
	}
	if err != nil {
		return err
	}
	if err := r.deliver(ctx, at, s, secret, rec); err != nil || s.foreign {
		return err
	}
	s.records[rec.Name()] = rec
	r.sayIssued(at, p, rec)
	return nil
}

// nextNumber returns the number after the highest version that the status or a record names. The
// pending record does not count.
func nextNumber(at *v1alpha1.ApplicationToken, s *seen) int64 {
	var last int64
	if at.Status.Current != nil {
		last = at.Status.Rotations + 1
	}
	for name, rec := range s.records {
		if name != s.pending {
			last = max(last, rec.Version)
		}
	}
	return last + 1
}

// deliver writes the Secret that makes rec the current record. Where several passes try, the
// Secret's creation or its resource version decides which of them wins. The loser deletes its
// record, but only once it certainly lost: a response can be lost, or answer a repetition of a
// write that was applied. Until then the next attempt uses the same token.
func (r *ApplicationTokens) deliver(ctx context.Context, at *v1alpha1.ApplicationToken, s *seen, secret *corev1.Secret, rec record.Record) error {
	there := secret.ResourceVersion != ""
	err := r.put(ctx, secret)
	if err == nil {
		r.undelivered.forget(at)
		s.secret, s.delivered, s.adopted = secret, true, there
		return nil
	}
	if !answered(err) {
		return fmt.Errorf("write Secret %s: %w", secret.Name, err)
	}
	key := types.NamespacedName{Namespace: at.Namespace, Name: secret.Name}
	live, foreign, readErr := r.readSecret(ctx, at, s, key)
	if readErr != nil {
		return errors.Join(errLost, readErr)
	}
	r.undelivered.forget(at)
	if live != nil && holdsRecord(live, rec) {
		s.secret, s.delivered, s.adopted = live, true, there
		return nil
	}
	if retireErr := r.Records.RetireAnyway(ctx, rec); retireErr != nil {
		return errors.Join(errLost, retireErr)
	}
	switch {
	case apierrors.IsAlreadyExists(err) && (foreign || live != nil && !s.owns(at, live)):
		s.secret, s.foreign = live, true
		return nil // the planner decides what follows
	case apierrors.IsAlreadyExists(err), apierrors.IsConflict(err), apierrors.IsNotFound(err):
		return errLost
	default:
		return r.refusals.note(r.Now(), at, secret, err)
	}
}

func (r *ApplicationTokens) put(ctx context.Context, secret *corev1.Secret) error {
	if secret.ResourceVersion == "" {
		return r.Client.Create(ctx, secret)
	}
	return r.Client.Update(ctx, secret)
}

// answered reports whether the API server decided about a request, as opposed to being unreachable,
// too slow or failing.
func answered(err error) bool {
	return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.IsForbidden(err) ||
		apierrors.IsInvalid(err) || apierrors.IsNotFound(err) || apierrors.IsBadRequest(err) || apierrors.IsRequestEntityTooLargeError(err)
}

// render writes the token that the Secret holds again, as the spec now asks. If the spec names
// another Secret, render writes that one.
func (r *ApplicationTokens) render(ctx context.Context, at *v1alpha1.ApplicationToken, w wish, s *seen, rec record.Record) error {
	secret := &corev1.Secret{}
	if s.secret != nil {
		secret = s.secret.DeepCopy()
	}
	if err := w.write(secret, at, rec, s.token); err != nil {
		return err
	}
	if err := r.refusals.still(r.Now(), at, secret); err != nil {
		return err
	}
	err := r.put(ctx, secret)
	switch {
	case apierrors.IsAlreadyExists(err):
		live, foreign, err := r.readSecret(ctx, at, s, client.ObjectKeyFromObject(secret))
		if err != nil {
			return err
		}
		if !foreign && live != nil && s.owns(at, live) {
			return errLost
		}
		s.foreign = true
		return nil
	case answered(err) && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err):
		return r.refusals.note(r.Now(), at, secret, err)
	case err != nil:
		return fmt.Errorf("write Secret %s: %w", secret.Name, err)
	}
	s.secret = secret
	if !w.current(secret, at, rec, s.token) { // writing it again would have the same result
		return r.refusals.rewritten(r.Now(), at, secret)
	}
	return nil
}

// dropFormer deletes the Secret of the former name once the Secret of the new name holds the token.
func (r *ApplicationTokens) dropFormer(ctx context.Context, s *seen) error {
	if s.former == nil || s.secret == nil || s.Current == nil || s.Secret == plan.SecretForeign {
		return nil
	}
	if err := r.deleteSecret(ctx, s.former); err != nil {
		return err
	}
	s.former = nil
	return nil
}
