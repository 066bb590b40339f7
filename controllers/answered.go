package controllers

import (
	"context"
	"fmt"
	"slices"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/plan"
)

// byAnswer says whether the versions of a token are given in answers of the HTTP API: those alone that it makes, in the
// operator's own namespace.
//
// What the Secret is to others, the token itself is to these: its annotation names the record of the current version, and
// is written by its resource version, so that of many who make a version one succeeds. Until the annotation is there, no
// answer was given.
func byAnswer(at *v1alpha1.ApplicationToken, own string) bool {
	return at.Spec.Delivery == v1alpha1.DeliveryResponse && at.Namespace == own
}

// delivery refuses what does not go with delivery Response.
func delivery(at *v1alpha1.ApplicationToken, s surroundings, refuse refuser) {
	r := at.Spec.Rotation
	switch {
	case !s.answered:
		refuse(v1alpha1.ReasonDeliveryUnavailable, "delivery Response is for tokens made through the HTTP API; set spec.delivery to Secret")
	case r.Every != "" || r.Schedule != "" || r.Trigger != "":
		refuse(v1alpha1.ReasonInvalidSpec, "a token of delivery Response rotates through the HTTP API; take every, schedule and trigger out of spec.rotation")
	case at.Status.SecretName != "":
		refuse(v1alpha1.ReasonInvalidSpec, "Secret %s holds this token; set spec.delivery back to Secret, or declare another token", at.Status.SecretName)
	}
}

// grantsOfAnswer cuts what is asked down to what the client has. Who writes in the operator's own namespace needs no grant.
func grantsOfAnswer(s surroundings, refuse refuser) *plan.Grants {
	held := ceiling(s.client).Cut(s.asked.roles, s.asked.permissions)
	if held.Over() {
		refuse(v1alpha1.ReasonOverCeiling, "client %s does not have %s; take it out, or ask the client's platform team to add it",
			s.client.Name, few(append(slices.Clone(held.OverRoles), held.OverPermissions...)))
	}
	return &plan.Grants{
		Client: s.client.Name, Roles: held.Roles, Permissions: held.Permissions, SourceRanges: s.asked.sourceRanges,
	}
}

// deliveredRecord returns the record that a token of delivery Response names; empty: none. Where another tool took the annotation
// off, the status names the record. An attempt to make the token again says that nothing was delivered.
func deliveredRecord(at *v1alpha1.ApplicationToken) string {
	name := at.Annotations[v1alpha1.AnnotationRecord]
	if name != "" || at.Annotations[v1alpha1.AnnotationAttempt] != "" || at.Status.Current == nil {
		return name
	}
	return at.Status.Current.Record
}

// setNamedRecord sets the annotation by which a token of delivery Response names its record, in memory.
func setNamedRecord(at *v1alpha1.ApplicationToken, name string) {
	if at.Annotations == nil {
		at.Annotations = map[string]string{}
	}
	at.Annotations[v1alpha1.AnnotationRecord] = name
}

// nameRecord puts back the annotation of a token of delivery Response.
func (r *ApplicationTokens) nameRecord(ctx context.Context, at *v1alpha1.ApplicationToken, name string) error {
	before := at.DeepCopy()
	setNamedRecord(at, name)
	if err := r.patch(ctx, before, at); err != nil {
		return fmt.Errorf("put back the annotation %s: %w", v1alpha1.AnnotationRecord, err)
	}
	return nil
}

// deriveAnswered says what the records of a token mean that is given in answers. It returns the uid of the owner that the
// current one names.
func (s *seen) deriveAnswered(at *v1alpha1.ApplicationToken) string {
	s.Secret = plan.SecretAbsent
	named, there := s.records[deliveredRecord(at)]
	if !there || !named.SupersededAt.IsZero() {
		return string(at.UID)
	}
	current := version(named, at)
	s.Current, s.Secret = &current, plan.SecretIntact
	return named.Owner.UID
}
