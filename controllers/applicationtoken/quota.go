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
	limits, err := tokenspec.Resolver{Client: r.Client, Live: r.Live, Records: r.Records}.QuotaLimits(ctx, &c, namespaces...)
	return limits, err == nil
}

// isRecordedInQuota reports whether the record of the current version shows that a token counts
// against the quota: it is not suspended, and is of the same client and user. The status, or a
// field of it, can be lost. Without this check, another token would take the quota, and this one
// would stop working.
func isRecordedInQuota(w tokenspec.Spec, s observed) bool {
	c := s.Current
	return !w.DeliveredInResponse && c != nil && !c.Grants.Suspended && c.Grants.Client == w.Requested.Client && c.Grants.User == w.Requested.User
}

// evaluateQuota decides whether a token gets quota. It does so if nothing else stands in its way,
// if the token has versions already, or if it is delivered in responses: without quota, versions
// are rejected. It returns the desired state that follows.
func (r *Reconciler) evaluateQuota(ctx context.Context, at *v1alpha1.ApplicationToken, refs tokenspec.References, w tokenspec.Spec, s observed) (tokenspec.Spec, error) {
	own := r.Quota.OwnNamespace
	versions := s.Current != nil || len(s.Others) > 0
	if w.Grants == nil { // the versions stay as they are, and count where they did
		w.HasQuota = tokenspec.Counted(at, own)
		return w, nil
	}
	same := at.Status.Client == w.Requested.Client && tokenspec.ServedUser(at) == w.Requested.User
	w.HasQuota = w.IsEntitled && (same && tokenspec.Counted(at, own) || isRecordedInQuota(w, s))
	needed := w.DeliveredInResponse || versions || w.Refused.Reason == "" && w.State == plan.Active
	if w.HasQuota || !needed || !w.IsEntitled || refs.Client == nil || w.State == plan.Revoked {
		return w, nil
	}
	claim := tokenspec.QuotaClaim(at, own, w.Requested.Client, w.Requested.User)
	limits, err := tokenspec.Resolver{Client: r.Client, Live: r.Live, Records: r.Records}.QuotaLimits(ctx, refs.Client, append(r.Quota.Index.Waiting(claim.Client), at.Namespace)...)
	if err != nil {
		return w, err
	}
	verdict := r.Quota.Reserve(at, claim, limits, r.Now())
	if !verdict.Granted {
		refs.QuotaRefusal = tokenspec.OverQuotaRefusal(claim, verdict)
		w = tokenspec.Build(at, refs)
	}
	w.HasQuota = verdict.Granted
	return w, nil
}
