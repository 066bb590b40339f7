package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/controllers/gc"
	"github.com/apptoken/operator/controllers/result"
	"github.com/apptoken/operator/internal/directory"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/record/kube"
	"github.com/apptoken/operator/internal/tokenspec"
)

// Reconciler garbage-collects the records of logins that are over: at their end, or when the user,
// the password or the account is gone. It also deletes orphans of a crash. Until then every
// endpoint rejects them. EnforceLimits ends the excess logins of one user.
type Reconciler struct {
	Client    client.Client // reads may be from a cache, with the indexes that index.AddTo adds
	Live      client.Reader // reads are from the API server
	Passwords client.Reader // of the Secrets in the operator's own namespace, from a cache
	Records   *kube.Store
	Now       func() time.Time
	Limiter   *gc.Limiter // shared with the tokenrecord reconciler
}

// Reconcile evaluates one record, and deletes it if it is to go. It confirms at the API server what
// the cache shows.
func (r *Reconciler) Reconcile(ctx context.Context, obj *v1alpha1.TokenRecord) (ctrl.Result, error) {
	if obj.Spec.Owner.Kind != login.OwnerKindUser || !obj.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	rec, err := kube.FromObject(obj)
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("parse the record: %w", err)
	}
	now := r.Now()
	why, wake, err := r.evaluateRecord(ctx, now, rec, login.NotCollected)
	switch {
	case err != nil:
	case why != login.NotCollected:
		wake, err = r.deleteRecord(ctx, now, rec, why)
	}
	return result.Settle(now, wake, err, nil)
}

// deleteRecord deletes a record if the reason to delete it is confirmed. It returns when to
// evaluate the record again.
func (r *Reconciler) deleteRecord(ctx context.Context, now time.Time, rec record.Record, why login.CollectReason) (time.Time, error) {
	if err := r.Limiter.Wait(ctx); err != nil {
		return time.Time{}, err
	}
	rec, err := r.Records.Confirm(ctx, rec.Name())
	if errors.Is(err, record.ErrGone) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	sure, wake, err := r.evaluateRecord(ctx, now, rec, why)
	switch {
	case err != nil || sure == login.NotCollected:
		return wake, err
	case sure != why:
		return now.Add(time.Second), nil // the new reason needs a confirmation of its own
	}
	if err := r.Records.Retire(ctx, rec); err != nil { // fails for a record that was used meanwhile, and so may not be over
		return time.Time{}, err
	}
	logf.FromContext(ctx).V(1).Info("garbage-collected a login", "reason", why, "user", rec.Owner.Name)
	return time.Time{}, nil
}

// evaluateRecord evaluates a record by what the cache shows. It asks the API server for what the
// reason why depends on.
func (r *Reconciler) evaluateRecord(ctx context.Context, now time.Time, rec record.Record, why login.CollectReason) (login.CollectReason, time.Time, error) {
	var users client.Reader = r.Client
	password, predecessor := r.cachedPassword, r.Records.Get
	switch why { //nolint:exhaustive // the others rest on the record alone
	case login.UserMissing, login.AccountMissing:
		users = r.Live
	case login.PasswordChanged:
		users, password = r.Live, r.livePassword
	case login.Orphan:
		predecessor = r.Records.Confirm
	}
	var state login.CollectState
	var u v1alpha1.User
	err := users.Get(ctx, types.NamespacedName{Name: rec.Owner.Name}, &u)
	if err != nil && !apierrors.IsNotFound(err) {
		return "", time.Time{}, fmt.Errorf("get the user: %w", err)
	}
	if err == nil {
		state.User = &login.User{Name: u.Name, UID: string(u.UID), Accounts: tokenspec.LoginAccounts(&u)}
		if ref := u.Spec.PasswordSecretRef; ref != nil {
			secret, err := password(ctx, string(ref.Name))
			if err != nil {
				return "", time.Time{}, err
			}
			_, state.User.Credential, _, _ = directory.ReadPassword(secret) //nolint:errcheck // the status of the User reports what is wrong with it
		}
	}
	if rec.Predecessor != "" {
		_, err := predecessor(ctx, rec.Predecessor)
		if err != nil && !errors.Is(err, record.ErrGone) {
			return "", time.Time{}, err
		}
		state.HasPredecessor = err == nil
	}
	why, wake := login.EvaluateCollection(now, rec, state)
	return why, wake, nil
}

func (r *Reconciler) cachedPassword(ctx context.Context, name string) (*corev1.Secret, error) {
	return directory.CachedPasswordSecret(ctx, r.Passwords, r.Records.Namespace(), name)
}

// livePassword reads a Secret from the API server. The cache may be behind, and a user who has just
// logged in with a new password must not be logged out for that. It lists that Secret alone by its
// name, since the operator may list and watch the Secrets of its own namespace, but not get them.
func (r *Reconciler) livePassword(ctx context.Context, name string) (*corev1.Secret, error) {
	var list corev1.SecretList
	err := r.Live.List(ctx, &list, client.InNamespace(r.Records.Namespace()), client.MatchingFields{"metadata.name": name})
	if err != nil {
		return nil, fmt.Errorf("list the Secret of the password: %w", err)
	}
	if len(list.Items) == 0 {
		return nil, nil
	}
	return &list.Items[0], nil
}
