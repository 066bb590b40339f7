package applicationtoken

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/render"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/tokenspec"
)

// Other tools remove the operator's marks from a Secret: labels, annotations, owner references.
// None of them alone decides to which token the Secret belongs. Its controller decides, or
// otherwise the token in it, of which only the owner's record has the digest.

// heldToken describes the token that a Secret holds.
type heldToken struct {
	record         record.Record // the record that the Secret names, or that of the token in it
	token          token.Token   // set where isInSecret is
	isKnown        bool          // the record exists, and is of this owner or of one of its name
	isInSecret     bool          // the token of that record is in the Secret
	provesDelivery bool          // the token in the Secret proves that it was delivered, though its record may be gone
}

// heldTokenIn finds the record that a Secret names, and its token in the data. If the name is
// missing or wrong, it finds the newest record that was not superseded and whose token is in the
// data. In a Secret that is its owner's own, it finds nothing: the owner can have copied the token
// into it. A write or a deletion of the Secret would lose the other keys.
func (p *pass) heldTokenIn(secret *corev1.Secret) (h heldToken) {
	if secret == nil || isOwnersOwn(secret, p.at) {
		return heldToken{}
	}
	h.record, h.isKnown = p.records[secret.Annotations[v1alpha1.AnnotationRecord]]
	if h.isKnown = h.isKnown && h.record.Owner.Name == p.at.Name; h.isKnown {
		if h.token, h.isInSecret = render.Find(secret.Data, h.record.Digest); h.isInSecret {
			if h.provesDelivery = true; h.record.SupersededAt.IsZero() {
				return h
			}
		}
	}
	remembers := tokenspec.RecordNamesInStatus(p.at)
	for tok := range render.Tokens(secret.Data) {
		name := tok.Digest().RecordName()
		h.provesDelivery = h.provesDelivery || slices.Contains(remembers, name)
		r, known := p.records[name]
		if !known || r.Owner.Name != p.at.Name || !r.Digest.Matches(tok) || !r.SupersededAt.IsZero() || h.isCurrent() && r.Version <= h.record.Version {
			continue
		}
		h = heldToken{record: r, token: tok, isKnown: true, isInSecret: true, provesDelivery: true}
	}
	return h
}

// isCurrent reports whether the Secret holds a token that no other version has superseded.
func (h heldToken) isCurrent() bool { return h.isInSecret && h.record.SupersededAt.IsZero() }

// mayRead reports whether the operator may read the content of a Secret for a token. Any mark of
// the operator suffices. If all were removed, it suffices that the status names the Secret as the
// one that holds the token.
func (p *pass) mayRead(secret metav1.Object) bool {
	_, named := p.records[secret.GetAnnotations()[v1alpha1.AnnotationRecord]]
	return tokenspec.MayReadSecret(p.at, secret, len(p.records) > 0) || named && !tokenspec.IsControlledByOther(secret, p.at)
}

// isOwnersOwn reports whether a Secret belongs to its owner alone. Such a Secret has no mark that
// only the operator sets, and is not offered to the token. It also holds a key that the token does
// not set. The label managed alone is one half of an offer. If tools have removed every mark from
// the Secret of the token, its keys are still those of the spec.
func isOwnersOwn(secret *corev1.Secret, at *v1alpha1.ApplicationToken) bool {
	_, labelled := secret.Labels[v1alpha1.LabelToken]
	_, named := secret.Annotations[v1alpha1.AnnotationRecord]
	if labelled || named || tokenspec.IsOffered(secret, at) || metav1.GetControllerOf(secret) != nil {
		return false
	}
	texts := tokenspec.SecretTexts(at)
	for key := range secret.Data {
		if _, set := texts[key]; !set {
			return true
		}
	}
	return false
}

// isDelivered reports whether the operator has delivered the token to a Secret: the token controls
// the Secret, or the Secret holds a token that a record of this namespace and name, or the status,
// names.
func (h heldToken) isDelivered(secret *corev1.Secret, at *v1alpha1.ApplicationToken) bool {
	return secret.Type == corev1.SecretTypeOpaque && (metav1.IsControlledBy(secret, at) || h.provesDelivery && !tokenspec.IsControlledByOther(secret, at))
}

// belongsToToken reports whether a Secret belongs to the token: it was delivered, or its owner
// offers it.
func (h heldToken) belongsToToken(secret *corev1.Secret, at *v1alpha1.ApplicationToken) bool {
	return h.isDelivered(secret, at) || secret.Type == corev1.SecretTypeOpaque && tokenspec.IsOffered(secret, at)
}

// overwrittenToken returns what an offered Secret held before its owner overwrote the token: the
// operator writes the same token again. Otherwise each sync of a manifest would make a new token,
// and the third sync would end the token in use. It returns false if the Secret was not
// overwritten, or if the token was revoked or rotated.
func (p *pass) overwrittenToken(secret *corev1.Secret, h heldToken) (heldToken, bool) {
	if secret == nil || h.isCurrent() || p.keptToken.Kind() == 0 || !tokenspec.IsOffered(secret, p.at) {
		return heldToken{}, false
	}
	r, known := p.records[p.keptToken.Digest().RecordName()]
	if !known || !r.Digest.Matches(p.keptToken) || !r.SupersededAt.IsZero() {
		return heldToken{}, false
	}
	return heldToken{record: r, token: p.keptToken, isKnown: true, isInSecret: true, provesDelivery: true}, true
}

// rememberOfferedToken keeps the token of a Secret that its owner offers, and forgets that of any
// other.
func (p *pass) rememberOfferedToken() {
	switch {
	case p.heldSecret != nil && p.heldSecret == p.secret && tokenspec.IsOffered(p.secret, p.at):
		p.offeredTokens.keep(p.at, p.token)
	case p.heldSecret != nil:
		p.offeredTokens.forget(p.at)
	}
}

// ownsSecret reports whether a Secret belongs to the token.
func (p *pass) ownsSecret(secret *corev1.Secret) bool {
	return p.heldTokenIn(secret).belongsToToken(secret, p.at)
}

// findFormerSecret finds the Secret of a former name if the status was lost and does not name it: a
// Secret that is labelled for the token and was delivered.
func (p *pass) findFormerSecret(ctx context.Context) error {
	if p.at.Status.SecretName != "" || len(p.records) == 0 || p.secret != nil && p.heldTokenIn(p.secret).isDelivered(p.secret, p.at) {
		return nil
	}
	var list corev1.SecretList
	err := p.Client.List(ctx, &list, client.InNamespace(p.at.Namespace), client.MatchingLabels{v1alpha1.LabelManaged: "true", v1alpha1.LabelToken: p.at.Name},
		client.DisableReadYourWritesConsistency) // it would wait for the writes of all owners
	if err != nil {
		return fmt.Errorf("list the Secrets of the token: %w", err)
	}
	for i := range list.Items {
		if list.Items[i].Name == p.spec.Secret.Name {
			continue
		}
		secret, err := p.cachedSecret(ctx, list.Items[i].Name)
		if err != nil {
			return err
		}
		if secret == nil || !p.heldTokenIn(secret).isDelivered(secret, p.at) {
			continue
		}
		if p.formerSecret = secret; p.heldTokenIn(secret).isInSecret {
			return nil
		}
	}
	return nil
}
