package controllers

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
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/record"
)

// Logins sweeps the records of logins that are over: at their end, with the user, the password or the account, as litter of a
// crash, and the oldest of those that are too many. Until then no door honours them, but for those too many.
type Logins struct {
	Client    client.Client // reads may be from a cache, with the indexes of IndexFields
	Live      client.Reader // reads are from the API server
	Passwords client.Reader // of the Secrets in the operator's own namespace, from a cache
	Records   *record.Kube
	Now       func() time.Time
	Pace      *SweepPace // shared with TokenRecords
}

// Reconcile looks at one record, and deletes it if it is to go. What the cache says is confirmed first.
func (r *Logins) Reconcile(ctx context.Context, obj *v1alpha1.TokenRecord) (ctrl.Result, error) {
	if obj.Spec.Owner.Kind != login.OwnerKind || !obj.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	rec, err := record.FromObject(obj)
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("leave a record that cannot be read: %w", err)
	}
	now := r.Now()
	why, wake, err := r.judge(ctx, now, rec, login.Stays)
	switch {
	case err != nil:
	case why != login.Stays:
		wake, err = r.sweep(ctx, now, rec, why)
	case !now.Before(rec.CreatedAt.Add(login.Slack)): // until then, whoever stored it sees to those too many
		err = r.trim(ctx, now, rec)
	}
	return settle(now, wake, err, nil)
}

// sweep deletes a record, if what speaks against it is confirmed. It returns when to look again.
func (r *Logins) sweep(ctx context.Context, now time.Time, rec record.Record, why login.Why) (time.Time, error) {
	if err := r.Pace.wait(ctx); err != nil {
		return time.Time{}, err
	}
	rec, err := r.Records.Confirm(ctx, rec.Name())
	if errors.Is(err, record.ErrGone) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	sure, wake, err := r.judge(ctx, now, rec, why)
	switch {
	case err != nil || sure == login.Stays:
		return wake, err
	case sure != why:
		return now.Add(time.Second), nil // that is to be confirmed by itself
	}
	if err := r.Records.Retire(ctx, rec); err != nil { // of one that was used meanwhile, that it is over was a rumour
		return time.Time{}, err
	}
	logf.FromContext(ctx).V(1).Info("swept a login", "reason", why, "user", rec.Owner.Name)
	return time.Time{}, nil
}

// judge decides about a record on what the cache says, but what the reason why rests on is asked of the API server.
func (r *Logins) judge(ctx context.Context, now time.Time, rec record.Record, why login.Why) (login.Why, time.Time, error) {
	var users client.Reader = r.Client
	password, predecessor := r.password, r.Records.Get
	switch why { //nolint:exhaustive // the others rest on the record alone
	case login.UserGone, login.AccountGone:
		users = r.Live
	case login.PasswordChanged:
		users, password = r.Live, r.passwordForSure
	case login.Litter:
		predecessor = r.Records.Confirm
	}
	var a login.Around
	var u v1alpha1.User
	err := users.Get(ctx, types.NamespacedName{Name: rec.Owner.Name}, &u)
	if err != nil && !apierrors.IsNotFound(err) {
		return "", time.Time{}, fmt.Errorf("get the user: %w", err)
	}
	if err == nil {
		a.User = &login.User{Name: u.Name, UID: string(u.UID), Accounts: loginAccounts(&u)}
		if ref := u.Spec.PasswordSecretRef; ref != nil {
			secret, err := password(ctx, string(ref.Name))
			if err != nil {
				return "", time.Time{}, err
			}
			_, a.User.Credential, _, _ = readPassword(secret) //nolint:errcheck // what is wrong with it is told of the user
		}
	}
	if rec.Predecessor != "" {
		_, err := predecessor(ctx, rec.Predecessor)
		if err != nil && !errors.Is(err, record.ErrGone) {
			return "", time.Time{}, err
		}
		a.Predecessor = err == nil
	}
	why, wake := login.Sweep(now, rec, a)
	return why, wake, nil
}

func (r *Logins) password(ctx context.Context, name string) (*corev1.Secret, error) {
	return cachedPassword(ctx, r.Passwords, r.Records.Namespace(), name)
}

// passwordForSure reads a Secret from the API server: the cache may be behind, and nobody who has just logged in with a new
// password is to be logged out for that. It is a list that finds that Secret alone, since the operator may list and watch
// the Secrets of its own namespace, and get none.
func (r *Logins) passwordForSure(ctx context.Context, name string) (*corev1.Secret, error) {
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

// trim ends the oldest logins of the user of a record at its client, if there are more than the client allows: since it
// allowed more before, or since several replicas let somebody in at the same time.
func (r *Logins) trim(ctx context.Context, now time.Time, rec record.Record) error {
	most, there, err := mostSessions(ctx, r.Client, rec.Client)
	if err != nil || !there {
		return err
	}
	known, err := recordsOfUser(ctx, r.Client, r.Records.Namespace(), rec.Owner.Name)
	if err != nil {
		return err
	}
	known = login.Settled(known)
	if len(login.Surplus(now, known, rec.Client, most)) == 0 {
		return nil
	}
	// The cache may not know yet that some have ended, or that the client allows more again.
	if most, there, err = mostSessions(ctx, r.Live, rec.Client); err != nil || !there {
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
	for _, s := range login.Surplus(now, sure, rec.Client, most) {
		if err := r.Records.RetireAnyway(ctx, s); err != nil {
			return err
		}
		logf.FromContext(ctx).Info("ended a login, since there were too many", "user", s.Owner.Name, "client", s.Client)
	}
	return nil
}

// mostSessions is how many logins a user may have at a client; false if there is no such client.
func mostSessions(ctx context.Context, from client.Reader, name string) (int, bool, error) {
	var c v1alpha1.Client
	err := from.Get(ctx, types.NamespacedName{Name: name}, &c)
	if apierrors.IsNotFound(err) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("get Client %s: %w", name, err)
	}
	return loginsOf(&c).MaxSessions, true, nil
}
