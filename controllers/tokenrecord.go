package controllers

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
	"github.com/apptoken/operator/internal/plan"
	"github.com/apptoken/operator/internal/record"
)

// TokenRecords sweeps the records that nobody owns: those of a token that is gone, and the litter of a crash.
type TokenRecords struct {
	Client  client.Client // reads may be from a cache
	Live    client.Reader // reads are from the API server
	Records *record.Kube
	Now     func() time.Time
	Metrics *Metrics
	Pace    *SweepPace // shared with Logins
}

// Reconcile looks at one record, and deletes it if it is to go. What the cache says is confirmed first.
func (r *TokenRecords) Reconcile(ctx context.Context, obj *v1alpha1.TokenRecord) (ctrl.Result, error) {
	rec, err := record.FromObject(obj)
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("leave a record that cannot be read: %w", err)
	}
	if rec.Owner.Kind != ownerKind {
		return ctrl.Result{}, nil
	}
	now := r.Now()
	p, err := r.judge(ctx, now, rec, false)
	if err == nil && p.Do == plan.RetireOne {
		if err := r.Pace.wait(ctx); err != nil {
			return ctrl.Result{}, err
		}
		p, err = r.judge(ctx, now, rec, true)
	}
	if err != nil || p.Do != plan.RetireOne {
		return settle(now, p.Wake, err, nil)
	}
	err = r.Records.Retire(ctx, rec)
	if err == nil {
		logf.FromContext(ctx).Info("swept a record", "reason", p.Why, "owner", rec.Owner.Namespace+"/"+rec.Owner.Name)
		r.Metrics.retired(p)
	}
	return settle(now, time.Time{}, err, nil)
}

// judge asks the planner about a record, on what the cache says of its owner, or, to be sure, the API server.
func (r *TokenRecords) judge(ctx context.Context, now time.Time, rec record.Record, sure bool) (plan.Plan, error) {
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
		if o, err = r.ownership(ctx, &at, rec, sure); err != nil {
			return plan.Plan{}, err
		}
	}
	v := version(rec, &at)
	return plan.ForRecord(now, rec.CreatedAt, v, o), nil
}

// ownership says what the owner's Secret says of a record.
func (r *TokenRecords) ownership(ctx context.Context, at *v1alpha1.ApplicationToken, rec record.Record, sure bool) (plan.Owner, error) {
	var from client.Reader = r.Client
	get := r.Records.Get
	if sure {
		from, get = r.Live, r.Records.Confirm
	}
	o := plan.Owner{Exists: true}
	if byAnswer(at, r.Records.Namespace()) {
		named := at.Annotations[v1alpha1.AnnotationRecord]
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
	for _, name := range secretNames(at) {
		var secret client.Object = &corev1.Secret{} // in the cache there are only our own
		if sure {
			secret = &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{Kind: "Secret", APIVersion: "v1"}}
		}
		if err := from.Get(ctx, types.NamespacedName{Namespace: at.Namespace, Name: name}, secret); client.IgnoreNotFound(err) != nil {
			return o, fmt.Errorf("get Secret %s: %w", name, err)
		}
		switch named := secret.GetAnnotations()[v1alpha1.AnnotationRecord]; {
		case named == "" || ofAnother(secret, at):
		case named == rec.Name():
			o.Delivered = true
			return o, nil
		case current == "":
			current = named
		}
	}
	if current == "" {
		o.Pending = true
		return o, nil
	}
	named, err := get(ctx, current)
	if err != nil && !errors.Is(err, record.ErrGone) {
		return o, err
	}
	o.Pending = err != nil || !named.SupersededAt.IsZero() // the Secret holds nothing good
	o.PredecessorOfCurrent = err == nil && named.Predecessor == rec.Name()
	return o, nil
}

// ofAnother says whether a Secret belongs to another token: the spec asks for a name that is taken.
func ofAnother(secret client.Object, at *v1alpha1.ApplicationToken) bool {
	owner := metav1.GetControllerOf(secret)
	return owner != nil && owner.Kind == ownerKind && owner.Name != at.Name
}

// secretNames are the names under which the Secret of a token may be: as the spec says now, and as it was.
func secretNames(at *v1alpha1.ApplicationToken) []string {
	name := at.Name
	if at.Spec.Secret.Name != "" {
		name = string(at.Spec.Secret.Name)
	}
	if was := at.Status.SecretName; was != "" && was != name {
		return []string{name, was}
	}
	return []string{name}
}
