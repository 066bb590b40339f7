package session

import (
	"context"
	"errors"
	"fmt"
	"time"

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
)

// EnforceLimits ends the excess logins of a user: those of each kind, at each client, beyond what
// the user or the client allows. There are some if more were allowed before, or if several replicas
// logged the user in at the same time.
func (r *Reconciler) EnforceLimits(ctx context.Context, u *v1alpha1.User) (ctrl.Result, error) {
	now := r.Now()
	known, err := directory.LoginRecordsOf(ctx, r.Client, r.Records.Namespace(), u.Name)
	if err != nil {
		return ctrl.Result{}, err
	}
	byGroup := map[login.Group][]record.Record{}
	for _, rec := range login.WithoutPendingSuccessors(known) {
		byGroup[login.GroupOf(rec)] = append(byGroup[login.GroupOf(rec)], rec)
	}
	for g, rs := range byGroup {
		err = errors.Join(err, r.enforceLimit(ctx, now, g, rs))
	}
	return result.Settle(now, time.Time{}, err, nil)
}

// enforceLimit ends the excess logins of a group. It confirms at the API server what the cache
// shows: some logins may have ended, and more may be allowed again. It reads the excess first. Most
// of it has just ended, at the replica that opened the login after it.
func (r *Reconciler) enforceLimit(ctx context.Context, now time.Time, g login.Group, known []record.Record) error {
	limit, there, err := limitFrom(ctx, r.Client, g)
	if err != nil || !there {
		return err
	}
	excess := login.ExcessLogins(now, known, g, limit)
	if len(excess) == 0 {
		return nil
	}
	sure, err := r.confirm(ctx, excess)
	if err != nil || len(sure) == 0 {
		return err
	}
	if limit, there, err = limitFrom(ctx, r.Live, g); err != nil || !there {
		return err
	}
	read := map[string]bool{}
	for _, rec := range excess {
		read[rec.Name()] = true
	}
	var others []record.Record
	for _, rec := range known {
		if !read[rec.Name()] {
			others = append(others, rec)
		}
	}
	if others, err = r.confirm(ctx, others); err != nil {
		return err
	}
	for _, rec := range login.ExcessLogins(now, append(sure, others...), g, limit) {
		if err := r.Records.RetireAnyway(ctx, rec); err != nil {
			return err
		}
		logf.FromContext(ctx).Info("ended a login, since there were too many", "user", g.User, "client", g.Client, "kind", g.Kind.String())
	}
	return nil
}

// confirm reads records from the API server. It leaves out those that are gone.
func (r *Reconciler) confirm(ctx context.Context, rs []record.Record) ([]record.Record, error) {
	var sure []record.Record
	for _, rec := range rs {
		rec, err := r.Records.Confirm(ctx, rec.Name())
		switch {
		case err == nil:
			sure = append(sure, rec)
		case !errors.Is(err, record.ErrGone):
			return nil, err
		}
	}
	return sure, nil
}

// limitFrom returns how many logins a group may have. It reports whether the user and the client
// exist.
func limitFrom(ctx context.Context, from client.Reader, g login.Group) (int, bool, error) {
	var u v1alpha1.User
	var c v1alpha1.Client
	err := from.Get(ctx, types.NamespacedName{Name: g.User}, &u)
	if err == nil {
		err = from.Get(ctx, types.NamespacedName{Name: g.Client}, &c)
	}
	if apierrors.IsNotFound(err) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("get the limits of User %s at Client %s: %w", g.User, g.Client, err)
	}
	return login.LimitOf(g.Kind, login.User{Limits: directory.LoginLimitsOf(&u)}, directory.LoginPolicyOf(&c)), true, nil
}
