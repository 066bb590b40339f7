package controllers

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/render"
	"github.com/apptoken/operator/internal/token"
)

// Other tools remove the operator's marks from a Secret: labels, annotations, owner references.
// None of them alone decides to which token the Secret belongs. Its controller decides, or
// otherwise the token in it, of which only the owner's record has the digest.

// holding describes the token that a Secret holds.
type holding struct {
	record record.Record // the record that the Secret names, or that of the token in it
	token  token.Token   // set where holds is
	known  bool          // the record exists, and is of this owner or of one of its name
	holds  bool          // the token of that record is in the Secret
	proves bool          // the token in the Secret proves that it was delivered, though its record may be gone
}

// holding finds the record that a Secret names, and its token in the data. If the name is missing
// or wrong, it finds the newest record that was not superseded and whose token is in the data. In
// a Secret that is its owner's own, it finds nothing: the owner can have copied the token into it.
// A write or a deletion of the Secret would lose the other keys.
func (s *seen) holding(at *v1alpha1.ApplicationToken, secret *corev1.Secret) (h holding) {
	if secret == nil || isOwnersOwn(secret, at) {
		return holding{}
	}
	h.record, h.known = s.records[secret.Annotations[v1alpha1.AnnotationRecord]]
	if h.known = h.known && h.record.Owner.Name == at.Name; h.known {
		if h.token, h.holds = render.Find(secret.Data, h.record.Digest); h.holds {
			if h.proves = true; h.record.SupersededAt.IsZero() {
				return h
			}
		}
	}
	remembers := remembered(at)
	for tok := range render.Tokens(secret.Data) {
		name := tok.Digest().RecordName()
		h.proves = h.proves || slices.Contains(remembers, name)
		r, known := s.records[name]
		if !known || r.Owner.Name != at.Name || !r.Digest.Matches(tok) || !r.SupersededAt.IsZero() || h.isCurrent() && r.Version <= h.record.Version {
			continue
		}
		h = holding{record: r, token: tok, known: true, holds: true, proves: true}
	}
	return h
}

// isCurrent reports whether the Secret holds a token that no other version has superseded.
func (h holding) isCurrent() bool { return h.holds && h.record.SupersededAt.IsZero() }

// holdsRecord reports whether the token of a record is in a Secret, or was there when the Secret
// was last written.
func holdsRecord(secret *corev1.Secret, r record.Record) bool {
	if secret.Annotations[v1alpha1.AnnotationRecord] == r.Name() {
		return true
	}
	_, holds := render.Find(secret.Data, r.Digest)
	return holds
}

// maxNamedRecords bounds how many records are read for one Secret: tenants write its content.
const maxNamedRecords = 8

// namedRecords returns the names of the records that a Secret can be about, each once: the one in
// its annotation, and those of the tokens in its data.
func namedRecords(secret *corev1.Secret) []string {
	var names []string
	if name := secret.Annotations[v1alpha1.AnnotationRecord]; name != "" {
		names = append(names, name)
	}
	for tok := range render.Tokens(secret.Data) {
		if len(names) == maxNamedRecords {
			break
		}
		if name := tok.Digest().RecordName(); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// mayRead reports whether the operator may read the content of a Secret for a token. Any mark of
// the operator suffices. If all were removed, it suffices that the status names the Secret as the
// one that holds the token.
func (s *seen) mayRead(at *v1alpha1.ApplicationToken, secret metav1.Object) bool {
	_, named := s.records[secret.GetAnnotations()[v1alpha1.AnnotationRecord]]
	return mayRead(at, secret, len(s.records) > 0) || named && !isControlledByOther(secret, at)
}

// mayRead is the part of seen.mayRead that needs no records. hasRecords reports whether the token
// has any.
func mayRead(at *v1alpha1.ApplicationToken, secret metav1.Object, hasRecords bool) bool {
	if secret.GetLabels()[v1alpha1.LabelManaged] == "true" || metav1.IsControlledBy(secret, at) {
		return true
	}
	if isControlledByOther(secret, at) {
		return false
	}
	return secret.GetLabels()[v1alpha1.LabelToken] == at.Name && hasRecords || at.Status.SecretName == secret.GetName()
}

// isControlledByOther reports whether the controller of a Secret is anything but an
// ApplicationToken of this name. Such a Secret does not belong to the token merely because it holds
// it. config/policy denies the operator writes to it, and two controllers would undo each other's
// writes.
func isControlledByOther(secret metav1.Object, at *v1alpha1.ApplicationToken) bool {
	o := metav1.GetControllerOf(secret)
	return o != nil && (!isToken(o) || o.Name != at.Name)
}

// isOwnersOwn reports whether a Secret belongs to its owner alone. Such a Secret has no mark that
// only the operator sets, and is not offered to the token. It also holds a key that the token does
// not set. The label managed alone is one half of an offer. If tools have removed every mark from
// the Secret of the token, its keys are still those of the spec.
func isOwnersOwn(secret *corev1.Secret, at *v1alpha1.ApplicationToken) bool {
	_, labelled := secret.Labels[v1alpha1.LabelToken]
	_, named := secret.Annotations[v1alpha1.AnnotationRecord]
	if labelled || named || isOffered(secret, at) || metav1.GetControllerOf(secret) != nil {
		return false
	}
	texts := secretTexts(at)
	for key := range secret.Data {
		if _, set := texts[key]; !set {
			return true
		}
	}
	return false
}

// isToken reports whether an owner reference names an ApplicationToken, in any version of the API.
func isToken(o *metav1.OwnerReference) bool {
	return o.Kind == ownerKind && strings.HasPrefix(o.APIVersion, v1alpha1.GroupVersion.Group+"/")
}

// isOffered reports whether the owner of a Secret offers it to the token for adoption.
func isOffered(secret *corev1.Secret, at *v1alpha1.ApplicationToken) bool {
	return secret.Labels[v1alpha1.LabelManaged] == "true" && adopts(secret, at)
}

// adopts reports whether a Secret has the annotation by which its owner offers it to the token.
func adopts(secret *corev1.Secret, at *v1alpha1.ApplicationToken) bool {
	return secret.Annotations[v1alpha1.AnnotationAdopt] == at.Name
}

// isDelivered reports whether the operator has delivered the token to a Secret: the token controls
// the Secret, or the Secret holds a token that a record of this namespace and name, or the status,
// names.
func (h holding) isDelivered(secret *corev1.Secret, at *v1alpha1.ApplicationToken) bool {
	return secret.Type == corev1.SecretTypeOpaque && (metav1.IsControlledBy(secret, at) || h.proves && !isControlledByOther(secret, at))
}

// belongs reports whether a Secret belongs to the token: it was delivered, or its owner offers it.
func (h holding) belongs(secret *corev1.Secret, at *v1alpha1.ApplicationToken) bool {
	return h.isDelivered(secret, at) || secret.Type == corev1.SecretTypeOpaque && isOffered(secret, at)
}

// overwritten returns the holding of an offered Secret whose owner has overwritten the token: the
// operator writes the same token again. Otherwise each sync of a manifest would make a new token,
// and the third sync would end the token in use. It returns false if the Secret was not
// overwritten, or if the token was revoked or rotated.
func (s *seen) overwritten(at *v1alpha1.ApplicationToken, secret *corev1.Secret, h holding) (holding, bool) {
	if secret == nil || h.isCurrent() || s.kept.Kind() == 0 || !isOffered(secret, at) {
		return holding{}, false
	}
	r, known := s.records[s.kept.Digest().RecordName()]
	if !known || !r.Digest.Matches(s.kept) || !r.SupersededAt.IsZero() {
		return holding{}, false
	}
	return holding{record: r, token: s.kept, known: true, holds: true, proves: true}, true
}

// remember keeps the token of a Secret that its owner offers, and forgets that of any other.
func (r *ApplicationTokens) remember(at *v1alpha1.ApplicationToken, s *seen) {
	switch {
	case s.held != nil && s.held == s.secret && isOffered(s.secret, at):
		r.offered.keep(at, s.token)
	case s.held != nil:
		r.offered.forget(at)
	}
}

// owns reports whether a Secret belongs to the token.
func (s *seen) owns(at *v1alpha1.ApplicationToken, secret *corev1.Secret) bool {
	return s.holding(at, secret).belongs(secret, at)
}

// findFormer finds the Secret of a former name if the status was lost and does not name it: a
// Secret that is labelled for the token and was delivered.
func (r *ApplicationTokens) findFormer(ctx context.Context, at *v1alpha1.ApplicationToken, w wish, s *seen) error {
	if at.Status.SecretName != "" || len(s.records) == 0 || s.secret != nil && s.holding(at, s.secret).isDelivered(s.secret, at) {
		return nil
	}
	var list corev1.SecretList
	err := r.Client.List(ctx, &list, client.InNamespace(at.Namespace), client.MatchingLabels{v1alpha1.LabelManaged: "true", v1alpha1.LabelToken: at.Name},
		client.DisableReadYourWritesConsistency) // it would wait for the writes of all owners
	if err != nil {
		return fmt.Errorf("list the Secrets of the token: %w", err)
	}
	for i := range list.Items {
		if list.Items[i].Name == w.secret.name {
			continue
		}
		secret, err := r.cachedSecret(ctx, at, s, list.Items[i].Name)
		if err != nil {
			return err
		}
		if secret == nil || !s.holding(at, secret).isDelivered(secret, at) {
			continue
		}
		if s.former = secret; s.holding(at, secret).holds {
			return nil
		}
	}
	return nil
}
