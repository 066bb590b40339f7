package applicationtoken

import (
	"github.com/apptoken/operator/internal/tokenspec"
)

// restoreClonedGrants restores the grants that a clone took over from its current record, if the
// status lacks them. That is so if the status was lost, or if a restore brought the clone back
// before its source. restoreClonedGrants reports whether it restored them.
func (p *pass) restoreClonedGrants() bool {
	if p.at.Spec.CloneFrom == nil || p.at.IsCloned() || p.Current == nil || p.Current.Grants.Client == "" || tokenspec.BecameClone(p.at) {
		return false
	}
	p.at.Status.Cloned = tokenspec.ClonedGrants(p.at, tokenspec.RequestedGrants{
		Client: p.Current.Grants.Client, Roles: p.Current.Grants.Roles, Permissions: p.Current.Grants.Permissions, SourceRanges: p.Current.Grants.SourceRanges,
	})
	return true
}
