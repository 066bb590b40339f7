package tokenspec

import (
	"slices"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/plan"
)

// DeliveredInResponse reports whether the versions of a token are delivered in responses of the
// HTTP API. Only tokens in the operator's own namespace are.
//
// For such a token the ApplicationToken decides a race, as the Secret does for others. Its
// annotation names the record of the current version. The annotation is written by resource
// version, so that one of several attempts to make a version succeeds. No response is sent before
// it is written.
func DeliveredInResponse(at *v1alpha1.ApplicationToken, own string) bool {
	return at.Spec.Delivery == v1alpha1.DeliveryResponse && at.Namespace == own
}

// checkResponseDelivery refuses what cannot be combined with delivery Response.
func checkResponseDelivery(at *v1alpha1.ApplicationToken, s References, refuse refuseFunc) {
	r := at.Spec.Rotation
	switch {
	case !s.DeliveredInResponse:
		refuse(v1alpha1.ReasonDeliveryUnavailable, "spec.delivery: Response is for tokens made through the HTTP API; set it to Secret")
	case r.Every != "" || r.Schedule != "" || r.Trigger != "":
		refuse(v1alpha1.ReasonInvalidSpec, "spec.rotation: a token of delivery Response rotates through the HTTP API; remove every, schedule and trigger")
	case at.Status.SecretName != "":
		refuse(v1alpha1.ReasonInvalidSpec, "Secret %s holds this token; set spec.delivery back to Secret, or declare another token", at.Status.SecretName)
	}
}

// responseGrants cuts the requested grants down to what the client has. A writer in the operator's
// own namespace needs no grant.
func responseGrants(s References, refuse refuseFunc) *plan.Grants {
	held := Ceiling(s.Client).Cut(s.Requested.Roles, s.Requested.Permissions)
	if held.Over() {
		refuse(v1alpha1.ReasonOverCeiling, "Client %s does not have %s; remove it, or ask the client's platform team to add it",
			s.Client.Name, JoinFirst(append(slices.Clone(held.OverRoles), held.OverPermissions...)))
	}
	return &plan.Grants{
		Client: s.Client.Name, Roles: held.Roles, Permissions: held.Permissions, SourceRanges: s.Requested.SourceRanges,
	}
}

// DeliveredRecord returns the name of the record that a token of delivery Response names, or "" if
// there is none. If another tool removed the annotation, the status names the record. An annotation
// of an attempt to make the token again means that nothing was delivered.
func DeliveredRecord(at *v1alpha1.ApplicationToken) string {
	name := at.Annotations[v1alpha1.AnnotationRecord]
	if name != "" || at.Annotations[v1alpha1.AnnotationAttempt] != "" || at.Status.Current == nil {
		return name
	}
	return at.Status.Current.Record
}

// SetNamedRecord sets the annotation by which a token of delivery Response names its record, in
// memory.
func SetNamedRecord(at *v1alpha1.ApplicationToken, name string) {
	if at.Annotations == nil {
		at.Annotations = map[string]string{}
	}
	at.Annotations[v1alpha1.AnnotationRecord] = name
}
