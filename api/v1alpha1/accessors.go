package v1alpha1

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ReadyReason returns the reason of the condition Ready; empty: there is none yet.
func (at *ApplicationToken) ReadyReason() string {
	if c := meta.FindStatusCondition(at.Status.Conditions, ConditionReady); c != nil {
		return c.Reason
	}
	return ""
}

// ClientName returns the name of the Client that a token is for. A clone has it in its status.
func (at *ApplicationToken) ClientName() string {
	if at.Spec.ClientRef != nil {
		return string(at.Spec.ClientRef.Name)
	}
	if at.Spec.UserRef != nil && at.Spec.UserRef.Client != "" {
		return at.Spec.UserRef.Client
	}
	return at.Status.Client
}

// UserName returns the name of the User that a token acts for; empty: it acts for its client.
func (at *ApplicationToken) UserName() string {
	if at.Spec.UserRef == nil {
		return ""
	}
	return string(at.Spec.UserRef.Name)
}

// SourceName returns the name of the ApplicationToken that a token waits to clone; empty: none.
func (at *ApplicationToken) SourceName() string {
	if at.Spec.CloneFrom != nil && !at.IsCloned() {
		return string(at.Spec.CloneFrom.Name)
	}
	return ""
}

// IsCloned reports whether the status of a clone holds the grants that it took over. A value
// without a client is incomplete and counts as none.
func (at *ApplicationToken) IsCloned() bool {
	return at.Status.Cloned != nil && at.Status.Cloned.Client != ""
}

// SetCondition sets a condition for the present generation. Its transition is at the instant now,
// if its status changes.
func (at *ApplicationToken) SetCondition(now time.Time, c metav1.Condition) {
	c.ObservedGeneration, c.LastTransitionTime = at.Generation, metav1.NewTime(now)
	meta.SetStatusCondition(&at.Status.Conditions, c)
}
