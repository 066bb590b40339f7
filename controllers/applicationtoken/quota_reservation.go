package applicationtoken

import (
	"context"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/plan"
	"github.com/apptoken/operator/internal/quota"
	"github.com/apptoken/operator/internal/tokenspec"
)

// cachedLimits returns the limits of a client by its name, and reports whether they are known now.
func (r *Reconciler) cachedLimits(name string, namespaces []string) (quota.Limits, bool) {
	ctx := context.Background() // reads only from caches that are there
	var c v1alpha1.Client
	if err := r.Client.Get(ctx, types.NamespacedName{Name: name}, &c, client.UnsafeDisableDeepCopy, client.DisableReadYourWritesConsistency); err != nil {
		return quota.Limits{}, false
	}
	limits, err := r.resolver().QuotaLimits(ctx, &c, namespaces...)
	return limits, err == nil
}

// isRecordedInQuota reports whether the record of the current version shows that a token counts
// against the quota: it is not suspended, and is of the same client and user. The status, or a
// field of it, can be lost. Without this check, another token would take the quota, and this one
// would stop working.
func (p *pass) isRecordedInQuota() bool {
	c := p.Current
	return !p.spec.DeliveredInResponse && c != nil && !c.Grants.Suspended && c.Grants.Client == p.spec.Requested.Client && c.Grants.User == p.spec.Requested.User
}

// evaluateQuota decides whether a token gets quota. It does so if nothing else stands in its way,
// if the token has versions already, or if it is delivered in responses: without quota, versions
// are rejected. It sets the desired state that follows.
func (p *pass) evaluateQuota(ctx context.Context) error {
	own, spec := p.Quota.OwnNamespace, &p.spec
	if spec.Grants == nil { // the versions stay as they are, and count where they did
		spec.HasQuota = tokenspec.CountsInQuota(p.at, own)
		return nil
	}
	same := p.at.Status.Client == spec.Requested.Client && tokenspec.ServedUser(p.at) == spec.Requested.User
	spec.HasQuota = spec.IsEntitled && (same && tokenspec.CountsInQuota(p.at, own) || p.isRecordedInQuota())
	hasVersions := p.Current != nil || len(p.Others) > 0
	needed := spec.DeliveredInResponse || hasVersions || spec.Refused.Reason == "" && spec.State == plan.Active
	if spec.HasQuota || !needed || !spec.IsEntitled || p.refs.Client == nil || spec.State == plan.Revoked {
		return nil
	}
	claim := tokenspec.QuotaClaim(p.at, own, spec.Requested.Client, spec.Requested.User)
	limits, err := p.resolver().QuotaLimits(ctx, p.refs.Client, append(p.Quota.Index.Waiting(claim.Client), p.at.Namespace)...)
	if err != nil {
		return err
	}
	verdict := p.Quota.Reserve(p.at, claim, limits, p.Now())
	if !verdict.Granted {
		p.refs.QuotaRefusal = tokenspec.OverQuotaRefusal(claim, verdict)
		p.spec = tokenspec.Build(p.at, p.refs)
	}
	p.spec.HasQuota = verdict.Granted
	return nil
}
