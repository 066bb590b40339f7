package client

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/controllers/index"
	"github.com/apptoken/operator/internal/directory"
	"github.com/apptoken/operator/internal/tokenspec"
)

// maxListedTokens bounds how many tokens a Client's status names.
const maxListedTokens = 20

// Reconciler reconciles Clients: it reports whether their tokens are accepted, and counts the
// tokens.
type Reconciler struct {
	Client client.Client // reads may be from a cache
	Live   client.Reader // reads are from the API server
	Now    func() time.Time
	Events events.EventRecorder
}

// Reconcile counts the tokens, evaluates the client, and updates the status if it has changed.
func (r *Reconciler) Reconcile(ctx context.Context, c *v1alpha1.Client) (ctrl.Result, error) {
	if !c.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	before := c.DeepCopy()
	var tokens v1alpha1.ApplicationTokenList
	err := r.Client.List(ctx, &tokens, client.MatchingFields{index.IndexClient: c.Name}, client.UnsafeDisableDeepCopy, client.DisableReadYourWritesConsistency)
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("list the tokens: %w", err)
	}
	setTokenCounts(c, tokens.Items)
	accountID, err := r.resolveAccountID(ctx, c)
	if err != nil {
		return ctrl.Result{}, err
	}
	ready := readyCondition(c, accountID)
	r.setStatus(c, ready, accountID)
	if equality.Semantic.DeepEqual(before.Status, c.Status) {
		return ctrl.Result{}, nil
	}
	if err := r.Client.Status().Update(ctx, c); err != nil {
		return ctrl.Result{}, fmt.Errorf("write the status: %w", err)
	}
	if becameTrue(before.Status.Conditions, c.Status.Conditions, v1alpha1.ConditionAccountIDContested) {
		r.Events.Eventf(c, nil, corev1.EventTypeWarning, v1alpha1.ReasonAccountIDClaimed, "Check", "%s", accountIDContestedCondition(accountID).Message)
	}
	was := meta.FindStatusCondition(before.Status.Conditions, v1alpha1.ConditionReady)
	if was == nil && ready.Status == metav1.ConditionTrue || was != nil && was.Reason == ready.Reason {
		return ctrl.Result{}, nil
	}
	kind := corev1.EventTypeNormal
	if ready.Status == metav1.ConditionFalse {
		kind = corev1.EventTypeWarning
	}
	r.Events.Eventf(c, nil, kind, ready.Reason, "Check", "%s", ready.Message)
	return ctrl.Result{}, nil
}

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

// resolveAccountID decides which of the clients that ask for the account ID of c holds it.
func (r *Reconciler) resolveAccountID(ctx context.Context, c *v1alpha1.Client) (directory.Claims, error) {
	if c.Spec.AccountID == nil {
		return directory.Claims{}, nil
	}
	var list v1alpha1.ClientList
	if err := r.Client.List(ctx, &list, client.UnsafeDisableDeepCopy, client.DisableReadYourWritesConsistency); err != nil {
		return directory.Claims{}, fmt.Errorf("list the other clients: %w", err)
	}
	claim := directory.AccountIDClaim(c.Spec.AccountID)
	var rivals []*v1alpha1.Client
	for i := range list.Items {
		if _, asks := claim(&list.Items[i]); asks {
			rivals = append(rivals, &list.Items[i])
		}
	}
	return directory.ResolveClaims(ctx, r.Live, c, rivals, claim)
}

// accountIDContestedCondition returns the condition of a client that keeps an account ID which
// others ask for.
func accountIDContestedCondition(c directory.Claims) metav1.Condition {
	return c.ContestedCondition(v1alpha1.ConditionAccountIDContested, v1alpha1.ReasonAccountIDClaimed, "its accountID")
}

// readyCondition returns the Ready condition: whether the client's tokens are accepted, and whether
// it holds the resolveAccountID that it asks for.
func readyCondition(c *v1alpha1.Client, accountID directory.Claims) metav1.Condition {
	no := func(reason, format string, args ...any) metav1.Condition {
		return metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: reason, Message: fmt.Sprintf(format, args...)}
	}
	if c.Spec.State == v1alpha1.StateSuspended {
		return no(v1alpha1.ReasonSuspended, "Every credential of this client is rejected; set spec.state to Active to accept them again")
	}
	if c.Spec.AccountID != nil && accountID.Holder != c.Name {
		return no(v1alpha1.ReasonAccountIDTaken, "Client %s had the accountID %d first; choose another spec.accountID", accountID.Holder, *c.Spec.AccountID)
	}
	for i, key := range c.Spec.Tokens.AllowedSecretMetadata {
		if tokenspec.IsReserved(key) {
			return no(v1alpha1.ReasonInvalidSpec, "spec.tokens.allowedSecretMetadata[%d]: key %q cannot be allowed; remove it", i, key)
		}
	}
	for i, g := range c.Spec.Grants {
		if g.Namespaces.Selector != nil {
			if _, err := metav1.LabelSelectorAsSelector(g.Namespaces.Selector); err != nil {
				return no(v1alpha1.ReasonInvalidSpec, "spec.grants[%d].namespaces.selector: invalid selector, which selects nothing: %s; correct it", i, err)
			}
		}
		for _, name := range g.Roles {
			if !slices.ContainsFunc(c.Spec.Roles, func(r v1alpha1.Role) bool { return r.Name == name }) {
				return no(v1alpha1.ReasonInvalidSpec, "spec.grants[%d].roles: spec.roles does not have the role %s; add it there, or remove it here", i, name)
			}
		}
	}
	return metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonActive, Message: "Tokens of this client are accepted"}
}

// becameTrue reports whether a condition is true that was not true before.
func becameTrue(before, after []metav1.Condition, kind string) bool {
	return meta.IsStatusConditionTrue(after, kind) && !meta.IsStatusConditionTrue(before, kind)
}

func (r *Reconciler) setStatus(c *v1alpha1.Client, ready metav1.Condition, accountID directory.Claims) {
	c.Status.ObservedGeneration = c.Generation
	c.Status.AccountID = nil
	if c.Spec.AccountID != nil && accountID.Holder == c.Name {
		c.Status.AccountID = new(*c.Spec.AccountID)
	}
	accountID.SetContested(&c.Status.Conditions, c.Name, metav1.NewTime(r.Now()), c.Generation, accountIDContestedCondition(accountID))
	ready.ObservedGeneration, ready.LastTransitionTime = c.Generation, metav1.NewTime(r.Now())
	meta.SetStatusCondition(&c.Status.Conditions, ready)
	if ready.Status == metav1.ConditionTrue {
		meta.RemoveStatusCondition(&c.Status.Conditions, v1alpha1.ConditionStalled)
		return
	}
	ready.Type, ready.Status = v1alpha1.ConditionStalled, metav1.ConditionTrue
	meta.SetStatusCondition(&c.Status.Conditions, ready)
}
