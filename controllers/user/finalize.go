package user

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/controllers/index"
	"github.com/apptoken/operator/internal/directory"
)

// addFinalizer adds the finalizer, before there is anything to end.
func (r *Reconciler) addFinalizer(ctx context.Context, u *v1alpha1.User) error {
	before := u.DeepCopy()
	if !controllerutil.AddFinalizer(u, v1alpha1.FinalizerLogins) {
		return nil
	}
	if err := r.Client.Patch(ctx, u, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("add the finalizer: %w", err)
	}
	return nil
}

// finalize ends what a deleted user has, and removes the finalizer. It deletes the records of
// logins first, since a credential is valid by its record. Then it deletes the tokens that were
// delivered to the user in responses. Tokens that teams declare in namespaces stay where they were
// declared, and act for no user. A record that is stored after this pass has no owner, and the
// session reconciler garbage-collects it.
func (r *Reconciler) finalize(ctx context.Context, u *v1alpha1.User) error {
	if !controllerutil.ContainsFinalizer(u, v1alpha1.FinalizerLogins) {
		return nil
	}
	logins, err := r.Records.ListByOwner(ctx, directory.UserOwner(u))
	if err != nil {
		return err
	}
	for _, l := range logins {
		if err := r.Records.RetireAnyway(ctx, l); err != nil {
			return err
		}
	}
	var tokens v1alpha1.ApplicationTokenList
	err = r.Client.List(ctx, &tokens, client.InNamespace(r.Records.Namespace()), client.MatchingFields{index.TokensByUser: u.Name}, client.DisableReadYourWritesConsistency)
	if err != nil {
		return fmt.Errorf("list the tokens of the user: %w", err)
	}
	for i := range tokens.Items {
		at := &tokens.Items[i]
		if at.Spec.Delivery != v1alpha1.DeliveryResponse || !at.DeletionTimestamp.IsZero() {
			continue
		}
		if err := r.Client.Delete(ctx, at, client.Preconditions{UID: &at.UID}); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("delete ApplicationToken %s: %w", at.Name, err)
		}
	}
	before := u.DeepCopy()
	controllerutil.RemoveFinalizer(u, v1alpha1.FinalizerLogins)
	err = r.Client.Patch(ctx, u, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("remove the finalizer: %w", err)
	}
	return nil
}
