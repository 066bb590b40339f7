package tokenspec

import (
	"context"
	"fmt"
	"math"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/plan"
	"github.com/apptoken/operator/internal/quota"
)

// Limits of a client whose policy sets none.
const (
	defaultMaxCount        = 10_000
	defaultMaxCountPerUser = 100
)

// QuotaClaim returns what a token counts for at a client. Tokens that are made over HTTP are all in
// the operator's own namespace, to which nothing is granted.
func QuotaClaim(at *v1alpha1.ApplicationToken, own, client, user string) quota.Claim {
	c := quota.Claim{Client: client, Namespace: at.Namespace, User: user}
	if DeliveredInResponse(at, own) {
		c.Namespace = ""
	}
	return c
}

// QuotaObservation returns what a token shows about its quota.
func QuotaObservation(at *v1alpha1.ApplicationToken, own string) quota.Observation {
	o := quota.Observation{Created: at.CreationTimestamp.Time}
	if CountsInQuota(at, own) {
		o.Holds = QuotaClaim(at, own, at.Status.Client, ServedUser(at))
	}
	wants := QuotaClaim(at, own, at.ClientName(), at.UserName())
	if wants == o.Holds || wants.Client == "" || !at.DeletionTimestamp.IsZero() || at.Spec.State == v1alpha1.TokenRevoked {
		return o
	}
	evaluated := at.Status.ObservedGeneration == at.Generation
	switch {
	case evaluated && awaitsQuota(at), DeliveredInResponse(at, own) && at.Status.ObservedGeneration == 0:
		o.Requested = wants
	case at.Spec.State != v1alpha1.TokenActive:
	case !evaluated, !meta.IsStatusConditionTrue(at.Status.Conditions, v1alpha1.ConditionStalled):
		o.Requested, o.Unevaluated = wants, true
	}
	return o
}

// CountsInQuota reports whether a token counts against the quota of the client and the user that
// its status names. It does if it was issued, or is made over HTTP and was evaluated, and is not
// withheld.
func CountsInQuota(at *v1alpha1.ApplicationToken, own string) bool {
	return WithheldRefusal(at) == nil && (HasVersion(at) || DeliveredInResponse(at, own) && at.Status.ObservedGeneration > 0)
}

// HasVersion reports whether a token was issued, and a version of it is still valid.
func HasVersion(at *v1alpha1.ApplicationToken) bool {
	return at.Status.Current != nil || len(at.Status.Predecessors) > 0
}

// WithheldRefusal returns why a token is withheld; nil: it is not.
func WithheldRefusal(at *v1alpha1.ApplicationToken) *plan.Refusal {
	c := meta.FindStatusCondition(at.Status.Conditions, v1alpha1.ConditionWithheld)
	if c == nil || c.Status != metav1.ConditionTrue {
		return nil
	}
	return &plan.Refusal{Reason: c.Reason, Message: c.Message}
}

func awaitsQuota(at *v1alpha1.ApplicationToken) bool {
	refusal := WithheldRefusal(at)
	return refusal != nil && refusal.Reason == v1alpha1.ReasonTooManyTokens || at.ReadyReason() == v1alpha1.ReasonTooManyTokens
}

// ServedUser returns the user for whom the versions of a token act. Statuses of former releases do
// not name the user.
func ServedUser(at *v1alpha1.ApplicationToken) string {
	if at.Status.User == "" && at.Status.ObservedGeneration == at.Generation {
		return at.UserName()
	}
	return at.Status.User
}

// QuotaLimits returns the limits of a client, for some namespaces.
func (r Resolver) QuotaLimits(ctx context.Context, c *v1alpha1.Client, namespaces ...string) (quota.Limits, error) {
	limits := quota.Limits{Client: defaultMaxCount, User: defaultMaxCountPerUser}
	if n := c.Spec.Tokens.MaxCount; n != nil {
		limits.Client = int(*n)
	}
	if n := c.Spec.Tokens.MaxCountPerUser; n != nil {
		limits.User = int(*n)
	}
	limited, selects := false, false
	for _, g := range c.Spec.Grants {
		limited = limited || g.MaxCount != nil
		selects = selects || g.MaxCount != nil && g.Namespaces.Selector != nil
	}
	if !limited {
		return limits, nil
	}
	limits.Namespaces = map[string]int{}
	for _, name := range namespaces {
		var labels map[string]string
		if selects && name != "" {
			var err error
			if labels, err = r.namespaceLabels(ctx, name); err != nil {
				if apierrors.IsNotFound(err) {
					continue // the namespace is being deleted, and so are its tokens
				}
				return limits, err
			}
		}
		limits.Namespaces[name] = maxCountOf(c, name, labels)
	}
	return limits, nil
}

// maxCountOf returns the largest limit among the grants that select a namespace. A grant without a
// limit does not lift the limit of another.
func maxCountOf(c *v1alpha1.Client, namespace string, nsLabels map[string]string) int {
	largest := -1
	for _, g := range c.Spec.Grants {
		if g.MaxCount != nil && selectsNamespace(g.Namespaces, namespace, nsLabels) {
			largest = max(largest, int(*g.MaxCount))
		}
	}
	if largest < 0 {
		return math.MaxInt
	}
	return largest
}

// OverQuotaRefusal converts a verdict into a Refusal.
func OverQuotaRefusal(c quota.Claim, v quota.Verdict) *plan.Refusal {
	whose, field := "", "spec.tokens.maxCount"
	switch v.Scope {
	case quota.OfNamespace:
		whose, field = " of namespace "+c.Namespace, "maxCount in spec.grants"
	case quota.OfUser:
		whose, field = " of user "+c.User, "spec.tokens.maxCountPerUser"
	case quota.OfClient:
	}
	return &plan.Refusal{
		Reason: v1alpha1.ReasonTooManyTokens,
		Message: fmt.Sprintf("Client %s serves at most %d tokens%s and %d come before this one; delete some, or ask its platform team to raise %s",
			c.Client, v.Limit, whose, v.Before, field),
	}
}
