package tokenrecord

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/controllers/gc"
	"github.com/apptoken/operator/controllers/metrics"
	"github.com/apptoken/operator/controllers/read"
	"github.com/apptoken/operator/controllers/result"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/plan"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/record/kube"
	"github.com/apptoken/operator/internal/tokenspec"
)

// Reconciler garbage-collects records without an owner: those of a token that is gone, and orphans
// of a crash. It also garbage-collects the records of access tokens that are over.
type Reconciler struct {
	Client  client.Client // reads may be from a cache
	Live    client.Reader // reads are from the API server
	Records *kube.Store
	Now     func() time.Time
	Metrics *metrics.Recorder
	Limiter *gc.Limiter // shared with the session reconciler
}

// Reconcile evaluates one record, and deletes it if it is to go. It confirms at the API server what
// the cache shows.
func (r *Reconciler) Reconcile(ctx context.Context, obj *v1alpha1.TokenRecord) (ctrl.Result, error) {
	rec, err := kube.FromObject(obj)
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("parse the record: %w", err)
	}
	switch rec.Owner.Kind {
	case tokenspec.OwnerKind:
	case login.OwnerKindRecord:
		return r.reconcileAccess(ctx, rec)
	default:
		return ctrl.Result{}, nil
	}
	now := r.Now()
	p, err := r.evaluateRecord(ctx, now, rec, false)
	if err == nil && p.Do == plan.RetireOne {
		if err := r.Limiter.Wait(ctx); err != nil {
			return ctrl.Result{}, err
		}
		p, err = r.evaluateRecord(ctx, now, rec, true)
	}
	if err != nil || p.Do != plan.RetireOne {
		return result.Settle(now, p.Wake, err, nil)
	}
	err = r.Records.Retire(ctx, rec)
	if err == nil {
		logf.FromContext(ctx).Info("garbage-collected a record", "reason", p.Why, "owner", rec.Owner.Namespace+"/"+rec.Owner.Name)
		r.Metrics.CountRetirement(p)
	}
	return result.Settle(now, time.Time{}, err, nil)
}

// evaluateRecord asks the planner about a record. It reads the owner from the cache or, if sure is
// set, from the API server.
func (r *Reconciler) evaluateRecord(ctx context.Context, now time.Time, rec record.Record, sure bool) (plan.Plan, error) {
	var from client.Reader = r.Client
	if sure {
		from = r.Live
	}
	var at v1alpha1.ApplicationToken
	err := from.Get(ctx, types.NamespacedName{Namespace: rec.Owner.Namespace, Name: rec.Owner.Name}, &at)
	if err != nil && !apierrors.IsNotFound(err) {
		return plan.Plan{}, fmt.Errorf("get the owner: %w", err)
	}
	o := plan.Owner{Exists: err == nil}
	if o.Exists {
		if o, err = r.planOwner(ctx, &at, rec, sure); err != nil {
			return plan.Plan{}, err
		}
	}
	v := tokenspec.PlanVersion(rec, &at)
	return plan.ForRecord(now, rec.CreatedAt, v, o), nil
}

// planOwner returns what the owner and its Secret show about a record.
func (r *Reconciler) planOwner(ctx context.Context, at *v1alpha1.ApplicationToken, rec record.Record, sure bool) (plan.Owner, error) {
	get := r.Records.Get
	if sure {
		get = r.Records.Confirm
	}
	o := plan.Owner{Exists: true}
	if tokenspec.DeliveredInResponse(at, r.Records.Namespace()) {
		named := tokenspec.DeliveredRecord(at)
		if o.Delivered = named == rec.Name(); o.Delivered || named == "" {
			return o, nil
		}
		current, err := get(ctx, named)
		o.PredecessorOfCurrent = err == nil && current.Predecessor == rec.Name()
		if errors.Is(err, record.ErrGone) {
			err = nil
		}
		return o, err
	}
	current := ""
	for _, name := range tokenspec.SecretNames(at) {
		named, holds, err := r.namedRecord(ctx, at, name, rec, sure)
		if o.Delivered = holds || named == rec.Name(); err != nil || o.Delivered {
			return o, err
		}
		if current == "" {
			current = named
		}
	}
	if current == "" || !record.IsName(current) {
		o.Pending = true
		return o, nil
	}
	named, err := get(ctx, current)
	if err != nil && !errors.Is(err, record.ErrGone) {
		return o, err
	}
	// The record that the Secret names is gone, superseded, or of another token: the annotation
	// does not name the token that the Secret holds.
	o.Pending = err != nil || !named.SupersededAt.IsZero() || named.Owner.Namespace != at.Namespace || named.Owner.Name != at.Name
	o.PredecessorOfCurrent = err == nil && named.Predecessor == rec.Name()
	return o, nil
}

// namedRecord returns the record that a Secret of the owner names; empty: none. If sure is set and
// the Secret is labelled as managed, it also reports whether the Secret holds the token of rec:
// other writers can change the annotation.
func (r *Reconciler) namedRecord(ctx context.Context, at *v1alpha1.ApplicationToken, name string, rec record.Record, sure bool) (named string, holds bool, err error) {
	key := types.NamespacedName{Namespace: at.Namespace, Name: name}
	var secret client.Object = &corev1.Secret{} // the cache has only managed Secrets
	if sure {
		secret = &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{Kind: "Secret", APIVersion: "v1"}}
		err = r.Live.Get(ctx, key, secret)
	} else {
		var behind bool
		if behind, err = read.Cached(ctx, r.Client, key, secret); behind {
			return r.namedRecord(ctx, at, name, rec, true)
		}
	}
	if apierrors.IsNotFound(err) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("get Secret %s: %w", name, err)
	}
	if tokenspec.IsControlledByOther(secret, at) {
		return "", false, nil
	}
	named = secret.GetAnnotations()[v1alpha1.AnnotationRecord]
	if !sure || named == rec.Name() || !tokenspec.MayReadSecret(at, secret, true) {
		return named, false, nil
	}
	var managed corev1.Secret
	if err := r.Live.Get(ctx, key, &managed); err != nil {
		return named, false, fmt.Errorf("get Secret %s: %w", name, err)
	}
	return named, tokenspec.HoldsRecord(&managed, rec), nil
}
