package applicationtoken

import (
	"context"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/apierr"
	"github.com/apptoken/operator/internal/tokenspec"
)

// withdrawMetadata removes from the Secret what the spec set while it was allowed, and restores
// marks that other writers removed. A refused spec is not rendered, so that the Secret would
// otherwise keep the former and lack the latter.
func (r *Reconciler) withdrawMetadata(ctx context.Context, at *v1alpha1.ApplicationToken, w tokenspec.Spec, s *observed) error {
	held := s.heldSecret
	if held == nil {
		return nil
	}
	passed := strings.Fields(held.Annotations[tokenspec.AnnotationPassedOn])
	kept := slices.DeleteFunc(slices.Clone(passed), func(p string) bool { return slices.Contains(w.Secret.RefusedKeys, p) })
	if len(kept) == len(passed) && tokenspec.HasMarks(held, at, s.Current.Record) {
		return nil
	}
	secret := held.DeepCopy()
	for _, p := range passed {
		if slices.Contains(w.Secret.RefusedKeys, p) {
			tokenspec.RemovePassedOn(secret, p)
		}
	}
	tokenspec.SetPassedOn(secret, kept)
	tokenspec.SetMarks(secret, at, s.Current.Record)
	if err := r.writeBackoff.pendingRefusal(r.Now(), at, secret); err != nil {
		return err
	}
	switch err := r.Client.Update(ctx, secret); {
	case apierr.IsRejected(err) && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err):
		return r.writeBackoff.recordRejection(r.Now(), at, secret, err) // its text may quote the Secret
	case err != nil:
		return fmt.Errorf("write labels and annotations of Secret %s: %w", secret.Name, err)
	}
	*held = *secret
	if !tokenspec.HasMarks(secret, at, s.Current.Record) {
		return r.writeBackoff.recordMutation(r.Now(), at, secret)
	}
	return nil
}
