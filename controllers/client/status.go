package client

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/directory"
	"github.com/apptoken/operator/internal/tokenspec"
)

// maxListedTokens bounds how many tokens a Client's status names.
const maxListedTokens = 20

// setTokenCounts sets how many tokens name the client, how many of them are ready, and which of
// them ask for too much.
func setTokenCounts(c *v1alpha1.Client, tokens []v1alpha1.ApplicationToken) {
	var ready int32
	var over []string
	for i := range tokens {
		at := &tokens[i]
		switch cond := meta.FindStatusCondition(at.Status.Conditions, v1alpha1.ConditionReady); {
		case cond == nil:
		case cond.Status == metav1.ConditionTrue:
			ready++
		case cond.Reason == v1alpha1.ReasonOverCeiling || cond.Reason == v1alpha1.ReasonNamespaceNotGranted:
			over = append(over, at.Namespace+"/"+at.Name)
		}
	}
	slices.Sort(over)
	c.Status.Tokens, c.Status.TokensReady, c.Status.TokensOverCeiling = int32(len(tokens)), ready, int32(len(over)) //nolint:gosec // a cluster holds fewer than 2^31 objects
	c.Status.OverCeiling = over[:min(len(over), maxListedTokens)]
	if len(over) == 0 {
		c.Status.OverCeiling = nil
	}
}

// setStatus sets the status, except the counts of tokens.
func (r *Reconciler) setStatus(c *v1alpha1.Client, ready metav1.Condition, accountID directory.Claims) {
	c.Status.ObservedGeneration = c.Generation
	c.Status.AccountID = nil
	if c.Spec.AccountID != nil && accountID.Holder == c.Name {
		c.Status.AccountID = new(*c.Spec.AccountID)
	}
	accountID.SetContested(&c.Status.Conditions, c, metav1.NewTime(r.Now()), accountIDContestedCondition(accountID))
	ready.ObservedGeneration, ready.LastTransitionTime = c.Generation, metav1.NewTime(r.Now())
	meta.SetStatusCondition(&c.Status.Conditions, ready)
	if ready.Status == metav1.ConditionTrue {
		meta.RemoveStatusCondition(&c.Status.Conditions, v1alpha1.ConditionStalled)
		return
	}
	ready.Type, ready.Status = v1alpha1.ConditionStalled, metav1.ConditionTrue
	meta.SetStatusCondition(&c.Status.Conditions, ready)
}

// accountIDContestedCondition returns the condition of a client that keeps an account ID which
// others ask for.
func accountIDContestedCondition(c directory.Claims) metav1.Condition {
	return c.ContestedCondition(v1alpha1.ConditionAccountIDContested, v1alpha1.ReasonAccountIDClaimed, "its accountID")
}

// readyCondition returns the Ready condition: whether the client's tokens are accepted, and whether
// it holds the accountID that it asks for.
func readyCondition(c *v1alpha1.Client, accountID directory.Claims) metav1.Condition {
	notReady := func(reason, format string, args ...any) metav1.Condition {
		return metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: reason, Message: fmt.Sprintf(format, args...)}
	}
	if c.Spec.State == v1alpha1.StateSuspended {
		return notReady(v1alpha1.ReasonSuspended, "Every credential of this client is rejected; set spec.state to Active to accept them again")
	}
	if c.Spec.AccountID != nil && accountID.Holder != c.Name {
		return notReady(v1alpha1.ReasonAccountIDTaken, "Client %s had the accountID %d first; choose another spec.accountID", accountID.Holder, *c.Spec.AccountID)
	}
	for i, key := range c.Spec.Tokens.AllowedSecretMetadata {
		if tokenspec.IsReserved(key) {
			return notReady(v1alpha1.ReasonInvalidSpec, "spec.tokens.allowedSecretMetadata[%d]: key %q cannot be allowed; remove it", i, key)
		}
	}
	for i, g := range c.Spec.Grants {
		if g.Namespaces.Selector != nil {
			if _, err := metav1.LabelSelectorAsSelector(g.Namespaces.Selector); err != nil {
				return notReady(v1alpha1.ReasonInvalidSpec, "spec.grants[%d].namespaces.selector: invalid selector, which selects nothing: %s; correct it", i, err)
			}
		}
		for _, name := range g.Roles {
			if !slices.ContainsFunc(c.Spec.Roles, func(r v1alpha1.Role) bool { return r.Name == name }) {
				return notReady(v1alpha1.ReasonInvalidSpec, "spec.grants[%d].roles: spec.roles does not have the role %s; add it there, or remove it here", i, name)
			}
		}
	}
	return metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonActive, Message: "Tokens of this client are accepted"}
}
