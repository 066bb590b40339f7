package tokenspec

import (
	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/plan"
	"github.com/apptoken/operator/internal/record"
)

// OwnerKind is the kind of the owner in the records of ApplicationTokens.
const OwnerKind = "ApplicationToken"

// OwnerOf returns the owner by which the records of a token are found.
func OwnerOf(at *v1alpha1.ApplicationToken) record.Owner {
	return record.Owner{Kind: OwnerKind, Namespace: at.Namespace, Name: at.Name, UID: string(at.UID)}
}

// CompareNewestFirst orders versions by their time of issue, the newest first.
func CompareNewestFirst(a, b plan.Version) int {
	if c := b.IssuedAt.Compare(a.IssuedAt); c != 0 {
		return c
	}
	return int(b.Number - a.Number)
}

// PlanVersion returns a record in the form that the planner uses.
func PlanVersion(r record.Record, at *v1alpha1.ApplicationToken) plan.Version {
	return plan.Version{
		Record: r.Name(), Number: r.Version, Hint: r.Hint, Trigger: r.Trigger, Request: r.Request, Predecessor: r.Predecessor,
		Grants: plan.Grants{
			Client: r.Client, User: r.User, Roles: r.Roles, Permissions: r.Permissions, SourceRanges: r.SourceRanges, Suspended: r.Suspended,
		},
		UserUID:      r.UserUID,
		Restored:     r.Owner.UID != string(at.UID),
		IssuedAt:     r.IssuedAt,
		AuthorizedAt: r.AuthorizedAt,
		CreatedAt:    r.CreatedAt,
		ExpiresAt:    r.ExpiresAt,
		SupersededAt: r.SupersededAt,
		LastUsedAt:   r.LastUsedAt,
		LastUsedFrom: r.LastUsedFrom,
	}
}

// RecordNamesInStatus returns the names of the records in the status of a token.
func RecordNamesInStatus(at *v1alpha1.ApplicationToken) []string {
	var names []string
	if c := at.Status.Current; c != nil {
		names = append(names, c.Record)
	}
	for _, p := range at.Status.Predecessors {
		names = append(names, p.Record)
	}
	return names
}

// SelfRotatedNote is the note of the event of a rotation that a holder asked for.
const SelfRotatedNote = "Version %d (%s) takes over from %s: its holder rotated it"

// SecretNames returns the names that the Secret of a token may have: the name in the spec and the
// name in the status.
func SecretNames(at *v1alpha1.ApplicationToken) []string {
	name := at.Name
	if at.Spec.Secret.Name != "" {
		name = string(at.Spec.Secret.Name)
	}
	if was := at.Status.SecretName; was != "" && was != name {
		return []string{name, was}
	}
	return []string{name}
}
