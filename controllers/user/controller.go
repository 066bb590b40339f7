package user

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/controllers/index"
	"github.com/apptoken/operator/controllers/result"
	"github.com/apptoken/operator/internal/directory"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/plan"
	"github.com/apptoken/operator/internal/record/kube"
)

// Reconciler reconciles Users: it reports whether they can log in, counts their logins, and ends
// all logins when a user is deleted.
type Reconciler struct {
	Client    client.Client // reads may be from a cache, with the indexes of index.IndexFields
	Live      client.Reader // reads are from the API server
	Passwords client.Reader // of the Secrets in the operator's own namespace
	Records   *kube.Store
	Now       func() time.Time
	Events    events.EventRecorder
}

// Reconcile observes a user, evaluates it, and updates the status if it has changed.
func (r *Reconciler) Reconcile(ctx context.Context, u *v1alpha1.User) (ctrl.Result, error) {
	now := r.Now()
	if !u.DeletionTimestamp.IsZero() {
		return result.Settle(now, time.Time{}, r.finalize(ctx, u), nil)
	}
	// The finalizer is added on the first pass, whether or not the user can log in: other replicas
	// accept logins without asking this one.
	if err := r.addFinalizer(ctx, u); err != nil {
		return result.Settle(now, time.Time{}, err, nil)
	}
	s, err := r.observe(ctx, now, u)
	if err != nil {
		return result.Settle(now, time.Time{}, err, nil)
	}
	before := u.DeepCopy()
	setUserStatus(now, u, s)
	if soon := now.Add(sessionCountInterval); s.wake.Before(soon) && !s.wake.IsZero() {
		s.wake = soon
	}
	return result.Settle(now, s.wake, nil, r.updateStatus(ctx, before, u))
}

// observe reads what a user depends on.
func (r *Reconciler) observe(ctx context.Context, now time.Time, u *v1alpha1.User) (observedUser, error) {
	s := observedUser{namespace: r.Records.Namespace(), clients: map[string]*v1alpha1.Client{}}
	var err error
	if ref := u.Spec.PasswordSecretRef; ref != nil {
		if s.secret, err = directory.CachedPasswordSecret(ctx, r.Passwords, s.namespace, string(ref.Name)); err != nil {
			return s, err
		}
	}
	for _, a := range u.Spec.Accounts {
		var c v1alpha1.Client
		err := r.Client.Get(ctx, types.NamespacedName{Name: a.Client}, &c)
		switch {
		case err == nil && c.DeletionTimestamp.IsZero():
			s.clients[a.Client] = &c
		case client.IgnoreNotFound(err) != nil:
			return s, fmt.Errorf("get Client %s: %w", a.Client, err)
		}
	}
	var same v1alpha1.UserList
	err = r.Client.List(ctx, &same, client.MatchingFields{index.IndexUsername: directory.UsernameOf(u)}, client.UnsafeDisableDeepCopy, client.DisableReadYourWritesConsistency)
	if err != nil {
		return s, fmt.Errorf("list the users of the same username: %w", err)
	}
	var rivals []*v1alpha1.User
	for i := range same.Items {
		rivals = append(rivals, &same.Items[i])
	}
	if s.username, err = directory.ResolveClaims(ctx, r.Live, u, rivals, directory.UsernameClaim(directory.UsernameOf(u))); err != nil {
		return s, err
	}
	logins, err := directory.LoginRecordsOf(ctx, r.Client, s.namespace, u.Name)
	if err != nil {
		return s, err
	}
	for _, l := range logins {
		if l.Owner.UID == string(u.UID) && login.IsLogin(l) && !l.IsOver(now) {
			s.sessions++
			s.wake = plan.EarliestTime(s.wake, login.EndOfRecord(l))
		}
	}
	return s, nil
}

// updateStatus updates the status if it has changed, and then records events of the transitions.
func (r *Reconciler) updateStatus(ctx context.Context, before, u *v1alpha1.User) error {
	if equality.Semantic.DeepEqual(before.Status, u.Status) {
		return nil
	}
	said := u.DeepCopy()
	if err := r.Client.Status().Update(ctx, said); err != nil {
		return fmt.Errorf("write the status: %w", err)
	}
	for _, c := range u.Status.Conditions {
		was := meta.FindStatusCondition(before.Status.Conditions, c.Type)
		if was != nil && was.Reason == c.Reason || was == nil && c.Status == metav1.ConditionTrue && c.Type != v1alpha1.ConditionUsernameContested {
			continue
		}
		switch {
		case c.Type == v1alpha1.ConditionReady && c.Status == metav1.ConditionTrue:
			r.Events.Eventf(u, nil, corev1.EventTypeNormal, c.Reason, "Check", "%s", c.Message)
		case c.Type == v1alpha1.ConditionReady,
			c.Type == v1alpha1.ConditionUsernameContested,
			c.Type == v1alpha1.ConditionAccountsResolved && c.Status == metav1.ConditionFalse:
			r.Events.Eventf(u, nil, corev1.EventTypeWarning, c.Reason, "Check", "%s", c.Message)
		}
	}
	return nil
}

// addFinalizer adds the finalizer, before there is anything to end.
func (r *Reconciler) addFinalizer(ctx context.Context, u *v1alpha1.User) error {
	before := u.DeepCopy()
	if !controllerutil.AddFinalizer(u, v1alpha1.FinalizerLogins) {
		return nil
	}
	if err := r.Client.Patch(ctx, u, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("add the finalizer: %w", err)
	}
	return nil
}

// finalize ends what a deleted user has, and removes the finalizer. It deletes the records of
// logins first, since a credential is valid by its record. Then it deletes the tokens that were
// delivered to the user in responses. Tokens that teams declare in namespaces stay where they were
// declared, and act for no user. A record that is stored after this pass has no owner, and Logins
// garbage-collects it.
func (r *Reconciler) finalize(ctx context.Context, u *v1alpha1.User) error {
	if !controllerutil.ContainsFinalizer(u, v1alpha1.FinalizerLogins) {
		return nil
	}
	logins, err := r.Records.ListByOwner(ctx, directory.UserOwner(u))
	if err != nil {
		return err
	}
	for _, l := range logins {
		if err := r.Records.RetireAnyway(ctx, l); err != nil {
			return err
		}
	}
	var tokens v1alpha1.ApplicationTokenList
	err = r.Client.List(ctx, &tokens, client.InNamespace(r.Records.Namespace()), client.MatchingFields{index.IndexUser: u.Name}, client.DisableReadYourWritesConsistency)
	if err != nil {
		return fmt.Errorf("list the tokens of the user: %w", err)
	}
	for i := range tokens.Items {
		at := &tokens.Items[i]
		if at.Spec.Delivery != v1alpha1.DeliveryResponse || !at.DeletionTimestamp.IsZero() {
			continue
		}
		if err := r.Client.Delete(ctx, at, client.Preconditions{UID: &at.UID}); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("delete ApplicationToken %s: %w", at.Name, err)
		}
	}
	before := u.DeepCopy()
	controllerutil.RemoveFinalizer(u, v1alpha1.FinalizerLogins)
	err = r.Client.Patch(ctx, u, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("remove the finalizer: %w", err)
	}
	return nil
}
