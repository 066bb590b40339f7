package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/meta"
)

func ReadyReason(at *ApplicationToken) string {
	if c := meta.FindStatusCondition(at.Status.Conditions, ConditionReady); c != nil {
		return c.Reason
	}
	return ""
}

func ClientName(at *ApplicationToken) string {
	if at.Spec.ClientRef != nil {
		return string(at.Spec.ClientRef.Name)
	}
	if at.Spec.UserRef != nil && at.Spec.UserRef.Client != "" {
		return at.Spec.UserRef.Client
	}
	return at.Status.Client
}

func UserName(at *ApplicationToken) string {
	if at.Spec.UserRef == nil {
		return ""
	}
	return string(at.Spec.UserRef.Name)
}

func SourceName(at *ApplicationToken) string {
	if at.Spec.CloneFrom != nil && !IsCloned(at) {
		return string(at.Spec.CloneFrom.Name)
	}
	return ""
}

// IsCloned reports whether the status of a clone holds the grants that it took over. A value
// without a client is incomplete and counts as none.
func IsCloned(at *ApplicationToken) bool {
	return at.Status.Cloned != nil && at.Status.Cloned.Client != ""
}
