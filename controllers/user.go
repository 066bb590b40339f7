package controllers

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
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/record"
)

// Users reconciles Users: it reports whether they can log in, counts their logins, and ends all
// logins when a user is deleted.
type Users struct {
	Client    client.Client // reads may be from a cache, with the indexes of IndexFields
	Live      client.Reader // reads are from the API server
	Passwords client.Reader // of the Secrets in the operator's own namespace
	Records   *record.Kube
	Now       func() time.Time
	Events    events.EventRecorder
}

// Reconcile observes a user, evaluates it, and updates the status if it has changed.
func (r *Users) Reconcile(ctx context.Context, u *v1alpha1.User) (ctrl.Result, error) {
	now := r.Now()
	if !u.DeletionTimestamp.IsZero() {
		return settle(now, time.Time{}, r.release(ctx, u), nil)
	}
	// The finalizer is added on the first pass, whether or not the user can log in: other replicas
	// accept logins without asking this one.
	if err := r.hold(ctx, u); err != nil {
		return settle(now, time.Time{}, err, nil)
	}
	s, err := r.look(ctx, now, u)
	if err != nil {
		return settle(now, time.Time{}, err, nil)
	}
	before := u.DeepCopy()
	describeUser(now, u, s)
	if soon := now.Add(sessionsEvery); s.wake.Before(soon) && !s.wake.IsZero() {
		s.wake = soon
	}
	return settle(now, s.wake, nil, r.say(ctx, before, u))
}

// look reads what a user depends on.
func (r *Users) look(ctx context.Context, now time.Time, u *v1alpha1.User) (userSeen, error) {
	s := userSeen{namespace: r.Records.Namespace(), clients: map[string]*v1alpha1.Client{}}
	var err error
	if ref := u.Spec.PasswordSecretRef; ref != nil {
		if s.secret, err = cachedPassword(ctx, r.Passwords, s.namespace, string(ref.Name)); err != nil {
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
	err = r.Client.List(ctx, &same, client.MatchingFields{IndexUsername: usernameOf(u)}, client.UnsafeDisableDeepCopy, client.DisableReadYourWritesConsistency)
	if err != nil {
		return s, fmt.Errorf("list the users of the same username: %w", err)
	}
	var rivals []*v1alpha1.User
	for i := range same.Items {
		rivals = append(rivals, &same.Items[i])
	}
	if s.username, err = resolveClaims(ctx, r.Live, u, rivals, usernameClaim(usernameOf(u))); err != nil {
		return s, err
	}
	logins, err := recordsOfUser(ctx, r.Client, s.namespace, u.Name)
	if err != nil {
		return s, err
	}
	for _, l := range logins {
		if l.Owner.UID == string(u.UID) && login.IsLogin(l) && !l.Over(now) {
			s.sessions++
			s.wake = earliest(s.wake, login.Ends(l))
		}
	}
	return s, nil
}

// say updates the status if it has changed, and then records events of the transitions.
func (r *Users) say(ctx context.Context, before, u *v1alpha1.User) error {
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

// hold adds the finalizer, before there is anything to end.
func (r *Users) hold(ctx context.Context, u *v1alpha1.User) error {
	before := u.DeepCopy()
	if !controllerutil.AddFinalizer(u, v1alpha1.FinalizerLogins) {
		return nil
	}
	if err := r.Client.Patch(ctx, u, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("add the finalizer: %w", err)
	}
	return nil
}

// release ends what a deleted user has, and removes the finalizer. It deletes the records of logins
// first, since a credential is valid by its record. Then it deletes the tokens that were delivered
// to the user in responses. Tokens that teams declare in namespaces stay where they were declared,
// and act for no user. A record that is stored after this pass has no owner, and Logins
// garbage-collects it.
func (r *Users) release(ctx context.Context, u *v1alpha1.User) error {
	if !controllerutil.ContainsFinalizer(u, v1alpha1.FinalizerLogins) {
		return nil
	}
	logins, err := r.Records.Of(ctx, userOwner(u))
	if err != nil {
		return err
	}
	for _, l := range logins {
		if err := r.Records.RetireAnyway(ctx, l); err != nil {
			return err
		}
	}
	var tokens v1alpha1.ApplicationTokenList
	err = r.Client.List(ctx, &tokens, client.InNamespace(r.Records.Namespace()), client.MatchingFields{IndexUser: u.Name}, client.DisableReadYourWritesConsistency)
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

// cachedPassword reads the Secret of a password from a cache; nil: there is none.
func cachedPassword(ctx context.Context, passwords client.Reader, namespace, name string) (*corev1.Secret, error) {
	var s corev1.Secret
	err := passwords.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, &s)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get the Secret of the password: %w", err)
	}
	return &s, nil
}

// recordsOfUser lists the records of a user's logins from a cache. It leaves out a record that
// cannot be parsed, which makes no credential valid.
func recordsOfUser(ctx context.Context, from client.Reader, namespace, name string) ([]record.Record, error) {
	var list v1alpha1.TokenRecordList
	err := from.List(ctx, &list, client.InNamespace(namespace), record.OwnedBy("", name), // a User has no namespace
		client.UnsafeDisableDeepCopy, client.DisableReadYourWritesConsistency)
	if err != nil {
		return nil, fmt.Errorf("list the logins of User %s: %w", name, err)
	}
	var rs []record.Record
	for i := range list.Items {
		obj := &list.Items[i]
		if obj.Spec.Owner.Kind != login.OwnerKind || !obj.DeletionTimestamp.IsZero() {
			continue
		}
		if r, err := record.FromObject(obj); err == nil {
			rs = append(rs, r)
		}
	}
	return rs, nil
}
