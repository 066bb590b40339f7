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
func (r *Reconciler) addFinalizer(ctx context.Context, at *v1alpha1.ApplicationToken) error {
	before := at.DeepCopy()
	if !controllerutil.AddFinalizer(at, v1alpha1.FinalizerRecords) {
		return nil
	}
	if err := r.patchToken(ctx, before, at); err != nil {
		return fmt.Errorf("add the finalizer: %w", err)
	}
	return nil
}

// finalize retires what a deleted token has, and removes the finalizer.
func (r *Reconciler) finalize(ctx context.Context, at *v1alpha1.ApplicationToken) error {
	r.forget(at)
	if !controllerutil.ContainsFinalizer(at, v1alpha1.FinalizerRecords) {
		return nil
	}
	spec := tokenspec.Build(at, tokenspec.References{DeliveredInResponse: tokenspec.DeliveredInResponse(at, r.Records.Namespace())})
	s, err := r.observeForDeletion(ctx, at, spec)
	if err != nil {
		return err
	}
	if err := r.retireAll(ctx, at, &s); err != nil {
		return err
	}
	before := at.DeepCopy()
	controllerutil.RemoveFinalizer(at, v1alpha1.FinalizerRecords)
	err = r.Client.Patch(ctx, at, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("remove the finalizer: %w", err)
	}
	r.Quota.Forget(at)
	return nil
}

// observeForDeletion observes as observeObjects does, for the last time: it also reads the records
// that only the status names.
func (r *Reconciler) observeForDeletion(ctx context.Context, at *v1alpha1.ApplicationToken, spec tokenspec.Desired) (observed, error) {
	s, err := r.observeObjects(ctx, at, spec)
	if err != nil {
		return observed{}, err
	}
	for _, name := range tokenspec.RecordNamesInStatus(at) {
		if _, ok := s.records[name]; ok {
			continue
		}
		rec, err := r.Records.Confirm(ctx, name)
		switch {
		case errors.Is(err, record.ErrGone):
		case err != nil:
			return observed{}, err
		case rec.Owner.Namespace == at.Namespace && rec.Owner.Name == at.Name:
			s.records[name] = rec
		}
	}
	return s, nil
}

// retireAll ends every version. It deletes the records first, since a credential is valid by its
// record.
func (r *Reconciler) retireAll(ctx context.Context, at *v1alpha1.ApplicationToken, s *observed) error {
	var secrets []*corev1.Secret // Secrets that were delivered: an offered Secret that was never adopted stays
	for _, secret := range []*corev1.Secret{s.secret, s.formerSecret} {
		if secret != nil && s.heldTokenIn(at, secret).isDelivered(secret, at) {
			secrets = append(secrets, secret)
		}
	}
	for _, rec := range s.records {
		if err := r.Records.RetireAnyway(ctx, rec); err != nil {
			return err
		}
		r.Metrics.Retirements.WithLabelValues(string(plan.IsRevoked)).Inc()
	}
	for _, secret := range secrets {
		if err := r.deleteDeliveredSecret(ctx, at, s, secret); err != nil {
			return err
		}
	}
	clear(s.records)
	s.secret, s.formerSecret = nil, nil
	return nil
}

// maxDeletions bounds how often the deletion of a Secret is tried within one pass.
const maxDeletions = 5

// deleteDeliveredSecret deletes a Secret that was delivered. If it has changed meanwhile, it is
// read again: on deletion with orphans, the garbage collector of Kubernetes removes the owner
// reference at the same time. Once the records are gone, little proves whose the Secret is.
func (r *Reconciler) deleteDeliveredSecret(ctx context.Context, at *v1alpha1.ApplicationToken, s *observed, secret *corev1.Secret) error {
	for range maxDeletions {
		err := r.deleteSecret(ctx, secret)
		if !apierrors.IsConflict(err) {
			return err
		}
		live, _, readErr := r.readSecret(ctx, at, s, client.ObjectKeyFromObject(secret))
		if readErr != nil {
			return errors.Join(err, readErr)
		}
		if live == nil || live.UID != secret.UID || !s.heldTokenIn(at, live).isDelivered(live, at) {
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
func (r *Reconciler) patchToken(ctx context.Context, before, at *v1alpha1.ApplicationToken) error {
	status := at.Status.DeepCopy()
	err := r.Client.Patch(ctx, at, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	at.Status = *status
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
