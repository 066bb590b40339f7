package controllers

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
)

// mostNamed bounds how many tokens a Client's status names.
const mostNamed = 20

// Clients reconciles Clients: it says whether they are served, and counts their tokens.
type Clients struct {
	Client client.Client
	Now    func() time.Time
	Events events.EventRecorder
}

// Reconcile counts, judges, and writes the status if it has changed.
func (r *Clients) Reconcile(ctx context.Context, c *v1alpha1.Client) (ctrl.Result, error) {
	if !c.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	before := c.DeepCopy()
	var tokens v1alpha1.ApplicationTokenList
	err := r.Client.List(ctx, &tokens, client.MatchingFields{IndexClient: c.Name}, client.UnsafeDisableDeepCopy, client.DisableReadYourWritesConsistency)
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("list the tokens: %w", err)
	}
	count(c, tokens.Items)
	var others v1alpha1.ClientList
	if c.Spec.AccountID != nil {
		if err := r.Client.List(ctx, &others, client.UnsafeDisableDeepCopy, client.DisableReadYourWritesConsistency); err != nil {
			return ctrl.Result{}, fmt.Errorf("list the other clients: %w", err)
		}
	}
	ready := judge(c, others.Items)
	r.conclude(c, ready)
	if equality.Semantic.DeepEqual(before.Status, c.Status) {
		return ctrl.Result{}, nil
	}
	if err := r.Client.Status().Update(ctx, c); err != nil {
		return ctrl.Result{}, fmt.Errorf("write the status: %w", err)
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

// count says how many tokens name the client, and which of them ask for too much.
func count(c *v1alpha1.Client, tokens []v1alpha1.ApplicationToken) {
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
	c.Status.OverCeiling = over[:min(len(over), mostNamed)]
	if len(over) == 0 {
		c.Status.OverCeiling = nil
	}
}

// judge says whether the client's tokens are accepted. Among the others it looks for an older one with its accountID.
func judge(c *v1alpha1.Client, others []v1alpha1.Client) metav1.Condition {
	no := func(reason, format string, args ...any) metav1.Condition {
		return metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: reason, Message: fmt.Sprintf(format, args...)}
	}
	if c.Spec.State == v1alpha1.StateSuspended {
		return no(v1alpha1.ReasonSuspended, "every credential of this client is refused; set spec.state to Active to accept them again")
	}
	for i := range others {
		if o := &others[i]; o.Name != c.Name && o.Spec.AccountID != nil && *o.Spec.AccountID == *c.Spec.AccountID && before(o, c) {
			return no(v1alpha1.ReasonAccountIDTaken, "Client %s, which is older, has the accountID %d; choose another", o.Name, *c.Spec.AccountID)
		}
	}
	for i, key := range c.Spec.Tokens.AllowedSecretMetadata {
		if isReserved(key) {
			return no(v1alpha1.ReasonInvalidSpec, "spec.tokens.allowedSecretMetadata[%d]: %q cannot be allowed; take it out", i, key)
		}
	}
	for i, g := range c.Spec.Grants {
		if g.Namespaces.Selector != nil {
			if _, err := metav1.LabelSelectorAsSelector(g.Namespaces.Selector); err != nil {
				return no(v1alpha1.ReasonInvalidSpec, "spec.grants[%d].namespaces.selector selects nothing: %s", i, err)
			}
		}
		for _, name := range g.Roles {
			if !slices.ContainsFunc(c.Spec.Roles, func(r v1alpha1.Role) bool { return r.Name == name }) {
				return no(v1alpha1.ReasonInvalidSpec, "spec.grants[%d] names the role %s, which spec.roles does not have; add it there, or take it out here", i, name)
			}
		}
	}
	return metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonActive, Message: "tokens of this client are accepted"}
}

func before(a, b *v1alpha1.Client) bool {
	if c := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); c != 0 {
		return c < 0
	}
	return a.Name < b.Name
}

func (r *Clients) conclude(c *v1alpha1.Client, ready metav1.Condition) {
	c.Status.ObservedGeneration = c.Generation
	ready.ObservedGeneration, ready.LastTransitionTime = c.Generation, metav1.NewTime(r.Now())
	meta.SetStatusCondition(&c.Status.Conditions, ready)
	if ready.Status == metav1.ConditionTrue {
		meta.RemoveStatusCondition(&c.Status.Conditions, v1alpha1.ConditionStalled)
		return
	}
	ready.Type, ready.Status = v1alpha1.ConditionStalled, metav1.ConditionTrue
	meta.SetStatusCondition(&c.Status.Conditions, ready)
}
