package applicationtoken

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/plan"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/tokenspec"
)

// addFinalizer adds the finalizer, before there is anything to retire.
func (p *pass) addFinalizer(ctx context.Context) error {
	before := p.at.DeepCopy()
	if !controllerutil.AddFinalizer(p.at, v1alpha1.FinalizerRecords) {
		return nil
	}
	if err := p.patchToken(ctx, before); err != nil {
		return fmt.Errorf("add the finalizer: %w", err)
	}
	return nil
}

// finalize retires what a deleted token has, and removes the finalizer.
func (p *pass) finalize(ctx context.Context) error {
	p.forget(p.at)
	if !controllerutil.ContainsFinalizer(p.at, v1alpha1.FinalizerRecords) {
		return nil
	}
	p.spec = tokenspec.Build(p.at, tokenspec.References{DeliveredInResponse: tokenspec.DeliveredInResponse(p.at, p.Records.Namespace())})
	if err := p.observeForDeletion(ctx); err != nil {
		return err
	}
	if err := p.retireAll(ctx); err != nil {
		return err
	}
	if err := p.issuer().RemoveFinalizer(ctx, p.at); err != nil {
		return err
	}
	p.Quota.Forget(p.at)
	return nil
}

// observeForDeletion observes as observeObjects does, for the last time: it also reads the records
// that only the status names.
func (p *pass) observeForDeletion(ctx context.Context) error {
	if err := p.observeObjects(ctx); err != nil {
		return err
	}
	for _, name := range tokenspec.RecordNamesInStatus(p.at) {
		if _, ok := p.records[name]; ok {
			continue
		}
		rec, err := p.Records.Confirm(ctx, name)
		switch {
		case errors.Is(err, record.ErrGone):
		case err != nil:
			return err
		case rec.Owner.Namespace == p.at.Namespace && rec.Owner.Name == p.at.Name:
			p.records[name] = rec
		}
	}
	return nil
}

// retireAll ends every version. It deletes the records first, since a credential is valid by its
// record.
func (p *pass) retireAll(ctx context.Context) error {
	var secrets []*corev1.Secret // Secrets that were delivered: an offered Secret that was never adopted stays
	for _, secret := range []*corev1.Secret{p.secret, p.formerSecret} {
		if secret != nil && p.heldTokenIn(secret).isDelivered(secret, p.at) {
			secrets = append(secrets, secret)
		}
	}
	for _, rec := range p.records {
		if err := p.issuer().Retire(ctx, rec); err != nil {
			return err
		}
		p.Metrics.Retirements.WithLabelValues(string(plan.IsRevoked)).Inc()
	}
	for _, secret := range secrets {
		if err := p.deleteDeliveredSecret(ctx, secret); err != nil {
			return err
		}
	}
	clear(p.records)
	p.secret, p.formerSecret = nil, nil
	return nil
}

// maxDeletions bounds how often the deletion of a Secret is tried within one pass.
const maxDeletions = 5

// deleteDeliveredSecret deletes a Secret that was delivered. If it has changed meanwhile, it is
// read again: on deletion with orphans, the garbage collector of Kubernetes removes the owner
// reference at the same time. Once the records are gone, little proves whose the Secret is.
func (p *pass) deleteDeliveredSecret(ctx context.Context, secret *corev1.Secret) error {
	for range maxDeletions {
		err := p.deleteSecret(ctx, secret)
		if !apierrors.IsConflict(err) {
			return err
		}
		live, _, readErr := p.readSecret(ctx, client.ObjectKeyFromObject(secret))
		if readErr != nil {
			return errors.Join(err, readErr)
		}
		if live == nil || live.UID != secret.UID || !p.heldTokenIn(live).isDelivered(live, p.at) {
			return nil // another Secret, or a foreign one by now
		}
		secret = live
	}
	return fmt.Errorf("delete Secret %s: it keeps changing", secret.Name)
}

func (r *Reconciler) deleteSecret(ctx context.Context, secret *corev1.Secret) error {
	// A Secret that has changed since it was read can belong to another owner by now.
	how := []client.DeleteOption{client.Preconditions{UID: &secret.UID, ResourceVersion: &secret.ResourceVersion}}
	if secret.Labels[v1alpha1.LabelManaged] != "true" {
		// It is not in the cache: reads of the name would wait forever for its deletion there.
		how = append(how, client.DisableReadYourWritesConsistency)
	}
	err := r.Client.Delete(ctx, secret, how...)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("delete Secret %s: %w", secret.Name, err)
	}
	return nil
}

// patchToken writes what has changed in a token since before. It keeps the status of this pass,
// which is not written yet.
func (p *pass) patchToken(ctx context.Context, before *v1alpha1.ApplicationToken) error {
	status := p.at.Status.DeepCopy()
	err := p.Client.Patch(ctx, p.at, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	p.at.Status = *status
	return err
}

// forget deletes from memory what is kept of a token that is being deleted, above all its
// plaintext.
func (r *Reconciler) forget(at *v1alpha1.ApplicationToken) {
	r.writeBackoff.forget(at)
	r.Restarts.Forget(at)
	r.pendingTokens.forget(at)
	r.offeredTokens.forget(at)
}
