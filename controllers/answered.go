package controllers

import (
	"context"
	"fmt"
	"slices"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/plan"
)

// byAnswer reports whether the versions of a token are delivered in responses of the HTTP API. Only
// tokens in the operator's own namespace are.
//
// For such a token the ApplicationToken decides a race, as the Secret does for others. Its
// annotation names the record of the current version. The annotation is written by resource
// version, so that one of several attempts to make a version succeeds. No response is sent before
// it is written.
func byAnswer(at *v1alpha1.ApplicationToken, own string) bool {
	return at.Spec.Delivery == v1alpha1.DeliveryResponse && at.Namespace == own
}

// delivery refuses what cannot be combined with delivery Response.
func delivery(at *v1alpha1.ApplicationToken, s surroundings, refuse refuser) {
	r := at.Spec.Rotation
	switch {
	case !s.answered:
		refuse(v1alpha1.ReasonDeliveryUnavailable, "spec.delivery: Response is for tokens made through the HTTP API; set it to Secret")
	case r.Every != "" || r.Schedule != "" || r.Trigger != "":
		refuse(v1alpha1.ReasonInvalidSpec, "spec.rotation: a token of delivery Response rotates through the HTTP API; remove every, schedule and trigger")
	case at.Status.SecretName != "":
		refuse(v1alpha1.ReasonInvalidSpec, "Secret %s holds this token; set spec.delivery back to Secret, or declare another token", at.Status.SecretName)
	}
}

// grantsOfAnswer cuts the requested grants down to what the client has. A writer in the operator's
// own namespace needs no grant.
func grantsOfAnswer(s surroundings, refuse refuser) *plan.Grants {
	held := ceiling(s.client).Cut(s.asked.roles, s.asked.permissions)
	if held.Over() {
		refuse(v1alpha1.ReasonOverCeiling, "Client %s does not have %s; remove it, or ask the client's platform team to add it",
			s.client.Name, few(append(slices.Clone(held.OverRoles), held.OverPermissions...)))
	}
	return &plan.Grants{
		Client: s.client.Name, Roles: held.Roles, Permissions: held.Permissions, SourceRanges: s.asked.sourceRanges,
	}
}

// deliveredRecord returns the name of the record that a token of delivery Response names, or "" if
// there is none. If another tool removed the annotation, the status names the record. An annotation
// of an attempt to make the token again means that nothing was delivered.
func deliveredRecord(at *v1alpha1.ApplicationToken) string {
	name := at.Annotations[v1alpha1.AnnotationRecord]
	if name != "" || at.Annotations[v1alpha1.AnnotationAttempt] != "" || at.Status.Current == nil {
		return name
	}
	return at.Status.Current.Record
}

// setNamedRecord sets the annotation by which a token of delivery Response names its record, in
// memory.
func setNamedRecord(at *v1alpha1.ApplicationToken, name string) {
	if at.Annotations == nil {
		at.Annotations = map[string]string{}
	}
	at.Annotations[v1alpha1.AnnotationRecord] = name
}

// nameRecord restores the annotation by which a token of delivery Response names its record.
func (r *ApplicationTokens) nameRecord(ctx context.Context, at *v1alpha1.ApplicationToken, name string) error {
	before := at.DeepCopy()
	setNamedRecord(at, name)
	if err := r.patch(ctx, before, at); err != nil {
		return fmt.Errorf("restore the annotation %s: %w", v1alpha1.AnnotationRecord, err)
	}
	return nil
}

// deriveAnswered sets the observed state of a token that is delivered in responses. It returns the
// uid of the owner that the current record names.
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
