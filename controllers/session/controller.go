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
	"github.com/apptoken/operator/controllers/result"
	"github.com/apptoken/operator/internal/directory"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/record/kube"
	"github.com/apptoken/operator/internal/tokenspec"
)

// Reconciler garbage-collects the records of logins that are over: at their end, or when the user,
// the password or the account is gone. It also deletes orphans of a crash, and the oldest logins
// where there are too many. Until then every endpoint rejects them, except where there are too
// many.
type Reconciler struct {
	Client    client.Client // reads may be from a cache, with the indexes of index.IndexFields
	Live      client.Reader // reads are from the API server
	Passwords client.Reader // of the Secrets in the operator's own namespace, from a cache
	Records   *kube.Store
	Now       func() time.Time
	Limiter   *result.GarbageCollectionLimiter // shared with the tokenrecord reconciler
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
	case !now.Before(rec.CreatedAt.Add(login.CollectDelay)): // until then, the replica that stored it enforces the limit
		err = r.enforceLimit(ctx, now, rec)
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
	var a login.CollectState
	var u v1alpha1.User
	err := users.Get(ctx, types.NamespacedName{Name: rec.Owner.Name}, &u)
	if err != nil && !apierrors.IsNotFound(err) {
		return "", time.Time{}, fmt.Errorf("get the user: %w", err)
	}
	if err == nil {
		a.User = &login.User{Name: u.Name, UID: string(u.UID), Accounts: tokenspec.LoginAccounts(&u)}
		if ref := u.Spec.PasswordSecretRef; ref != nil {
			secret, err := password(ctx, string(ref.Name))
			if err != nil {
				return "", time.Time{}, err
			}
			_, a.User.Credential, _, _ = directory.ReadPassword(secret) //nolint:errcheck // the status of the User reports what is wrong with it
		}
	}
	if rec.Predecessor != "" {
		_, err := predecessor(ctx, rec.Predecessor)
		if err != nil && !errors.Is(err, record.ErrGone) {
			return "", time.Time{}, err
		}
		a.HasPredecessor = err == nil
	}
	why, wake := login.EvaluateCollection(now, rec, a)
	return why, wake, nil
}

func (r *Reconciler) cachedPassword(ctx context.Context, name string) (*corev1.Secret, error) {
	return directory.CachedPasswordSecret(ctx, r.Passwords, r.Records.Namespace(), name)
}

// livePassword reads a Secret from the API server. The cache may be behind, and a user who has
// just logged in with a new password must not be logged out for that. It lists that Secret alone by
// its name, since the operator may list and watch the Secrets of its own namespace, but not get
// them.
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

// enforceLimit ends the oldest logins of the user of a record at its client, if there are more than
// the client allows. That is so if the client allowed more before, or if several replicas logged
// the user in at the same time.
func (r *Reconciler) enforceLimit(ctx context.Context, now time.Time, rec record.Record) error {
	most, there, err := maxSessionsOf(ctx, r.Client, rec.Client)
	if err != nil || !there {
		return err
	}
	known, err := directory.LoginRecordsOf(ctx, r.Client, r.Records.Namespace(), rec.Owner.Name)
	if err != nil {
		return err
	}
	known = login.WithoutPendingSuccessors(known)
	if len(login.ExcessLogins(now, known, rec.Client, most)) == 0 {
		return nil
	}
	// The cache may not show yet that some logins have ended, or that the client allows more again.
	if most, there, err = maxSessionsOf(ctx, r.Live, rec.Client); err != nil || !there {
		return err
	}
	var sure []record.Record
	for _, k := range known {
		if k.Client != rec.Client {
			continue
		}
		k, err := r.Records.Confirm(ctx, k.Name())
		if err == nil {
			sure = append(sure, k)
		} else if !errors.Is(err, record.ErrGone) {
			return err
		}
	}
	for _, s := range login.ExcessLogins(now, sure, rec.Client, most) {
		if err := r.Records.RetireAnyway(ctx, s); err != nil {
			return err
		}
		logf.FromContext(ctx).Info("ended a login, since there were too many", "user", s.Owner.Name, "client", s.Client)
	}
	return nil
}

// maxSessionsOf returns how many logins a user may have at a client, and reports whether the client
// exists.
func maxSessionsOf(ctx context.Context, from client.Reader, name string) (int, bool, error) {
	var c v1alpha1.Client
	err := from.Get(ctx, types.NamespacedName{Name: name}, &c)
	if apierrors.IsNotFound(err) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("get Client %s: %w", name, err)
	}
	return directory.LoginPolicyOf(&c).MaxSessions, true, nil
}
