package applicationtoken

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/apptoken/operator/internal/apierr"
	"github.com/apptoken/operator/internal/tokenspec"
)

// withdrawMetadata removes from the Secret what the spec set while it was allowed, and restores
// marks that other writers removed. A refused spec is not rendered, so that the Secret would
// otherwise keep the former and lack the latter.
func (p *pass) withdrawMetadata(ctx context.Context) error {
	held := p.heldSecret
	if held == nil {
		return nil
	}
	passed := strings.Fields(held.Annotations[tokenspec.AnnotationPassedOn])
	kept := slices.DeleteFunc(slices.Clone(passed), func(key string) bool { return slices.Contains(p.spec.Secret.RefusedKeys, key) })
	if len(kept) == len(passed) && tokenspec.HasMarks(held, p.at, p.Current.Record) {
		return nil
	}
	secret := held.DeepCopy()
	for _, key := range passed {
		if slices.Contains(p.spec.Secret.RefusedKeys, key) {
			tokenspec.RemovePassedOn(secret, key)
		}
	}
	tokenspec.SetPassedOn(secret, kept)
	tokenspec.SetMarks(secret, p.at, p.Current.Record)
	if err := p.writeBackoff.pendingRefusal(p.Now(), p.at, secret); err != nil {
		return err
	}
	switch err := p.Client.Update(ctx, secret); {
	case apierr.IsRefused(err):
		return p.writeBackoff.recordRejection(p.Now(), p.at, secret, err) // its text may quote the Secret
	case err != nil:
		return fmt.Errorf("write labels and annotations of Secret %s: %w", secret.Name, err)
	}
	*held = *secret
	if !tokenspec.HasMarks(secret, p.at, p.Current.Record) {
		return p.writeBackoff.recordMutation(p.Now(), p.at, secret)
	}
	return nil
}
