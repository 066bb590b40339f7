package client

import (
	"context"
	"fmt"
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
)

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
	err := r.Client.List(ctx, &tokens, client.MatchingFields{index.TokensByClient: c.Name}, client.UnsafeDisableDeepCopy, client.DisableReadYourWritesConsistency)
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

// becameTrue reports whether a condition is true that was not true before.
func becameTrue(before, after []metav1.Condition, kind string) bool {
	return meta.IsStatusConditionTrue(after, kind) && !meta.IsStatusConditionTrue(before, kind)
}
