package applicationtoken

import (
	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/tokenspec"
)

// restoreClonedGrants restores the grants that a clone took over from its current record, if the
// status lacks them. That is so if the status was lost, or if a restore brought the clone back
// before its source. restoreClonedGrants reports whether it restored them.
func restoreClonedGrants(at *v1alpha1.ApplicationToken, s *observed) bool {
	if at.Spec.CloneFrom == nil || v1alpha1.IsCloned(at) || s.Current == nil || s.Current.Grants.Client == "" || tokenspec.BecameClone(at) {
		return false
	}
	at.Status.Cloned = tokenspec.ClonedGrants(at, tokenspec.RequestedGrants{
		Client: s.Current.Grants.Client, Roles: s.Current.Grants.Roles, Permissions: s.Current.Grants.Permissions, SourceRanges: s.Current.Grants.SourceRanges,
	})
	return true
}
