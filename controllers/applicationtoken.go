package controllers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/plan"
	"github.com/apptoken/operator/internal/record"
)

// mostSteps bounds the actions of one pass. Each brings the token closer to rest, and few need more than six.
const mostSteps = 32

// errRestless says that a pass took mostSteps actions and more were left: two rules undo each other.
var errRestless = errors.New("the token did not come to rest")

// ApplicationTokens reconciles ApplicationTokens.
type ApplicationTokens struct {
	Client  client.Client // reads may be from a cache
	Live    client.Reader // reads are from the API server
	Records *record.Kube
	Now     func() time.Time
	Entropy io.Reader // crypto/rand, but for tests of what happens without
	Events  events.EventRecorder
	Metrics *Metrics

	refusals    refusals
	undelivered undelivered
	places      places
}

// Reconcile is one pass: observe, plan, act, until there is nothing to do, and say so.
func (r *ApplicationTokens) Reconcile(ctx context.Context, at *v1alpha1.ApplicationToken) (ctrl.Result, error) {
	now := r.Now().Truncate(time.Second) // what records and statuses can hold
	if !at.DeletionTimestamp.IsZero() {
		return settle(now, time.Time{}, r.release(ctx, at), nil)
	}
	before := at.DeepCopy()
	w, s, p, err := r.converge(ctx, now, at)
	if ended(ctx) || stale(err) {
		return settle(now, time.Time{}, err, nil) // what we know is not worth saying
	}
	describe(now, at, w, s, p, err)
	r.places.settle(at)
	restarted := r.restart(ctx, now, at, s)
	statusErr := r.say(ctx, before, at)
	return settle(r.Now(), earliest(p.Wake, restarted), err, statusErr)
}

// converge plans and acts until the planner has nothing more to do. It returns the last plan, and what there is then.
func (r *ApplicationTokens) converge(ctx context.Context, now time.Time, at *v1alpha1.ApplicationToken) (wish, seen, plan.Plan, error) {
	around, err := r.around(ctx, at)
	if err != nil {
		return wish{}, seen{}, plan.Plan{}, err
	}
	w := understand(at, around, placed(at))
	s, err := r.look(ctx, at, w)
	if err != nil {
		return w, s, plan.Plan{}, err
	}
	for range mostSteps {
		p := plan.ForToken(now, w.Desired, s.Observed)
		r.Metrics.decided(p)
		if p.Do == plan.Nothing {
			return w, s, p, r.dropFormer(ctx, &s)
		}
		if err := r.act(ctx, now, at, w, &s, p); err != nil {
			return w, s, p, err
		}
		s.derive(at, w)
	}
	return w, s, plan.Plan{}, errRestless
}

// around reads what a token depends on: its client, its namespace, its source, how many are before it.
func (r *ApplicationTokens) around(ctx context.Context, at *v1alpha1.ApplicationToken) (surroundings, error) {
	var s surroundings
	var err error
	switch {
	case at.Spec.ClientRef != nil:
		s.asked = askedBy(at)
	case at.Spec.CloneFrom != nil:
		if s.asked, s.refused, err = r.origin(ctx, at); err != nil || s.refused != nil {
			return s, err
		}
	case at.Spec.UserRef != nil:
		s.refused = &plan.Refusal{Reason: v1alpha1.ReasonUserMissing, Message: fmt.Sprintf("there is no User %q; name a client in spec.clientRef instead", at.Spec.UserRef.Name)}
		return s, nil
	default:
		s.refused = &plan.Refusal{Reason: v1alpha1.ReasonInvalidSpec, Message: "the spec names nobody that the token speaks for; set spec.clientRef"}
		return s, nil
	}
	var c v1alpha1.Client
	key := types.NamespacedName{Name: s.asked.client}
	err = r.Client.Get(ctx, key, &c)
	if apierrors.IsNotFound(err) {
		err = r.Live.Get(ctx, key, &c) // it may have been applied together with the token
	}
	if apierrors.IsNotFound(err) {
		s.refused = &plan.Refusal{Reason: v1alpha1.ReasonClientMissing, Message: fmt.Sprintf("there is no Client %q; correct spec.clientRef, or ask the platform team to create it", s.asked.client)}
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("get Client %s: %w", s.asked.client, err)
	}
	s.client = &c
	if s.namespace, err = r.namespaceLabels(ctx, at.Namespace); err != nil {
		return s, err
	}
	if c.Spec.Tokens.MaxCount != nil && !placed(at) {
		s.ahead, err = r.places.ahead(ctx, r.Client, at, &c)
	}
	return s, err
}

func (r *ApplicationTokens) namespaceLabels(ctx context.Context, name string) (map[string]string, error) {
	var ns metav1.PartialObjectMetadata
	ns.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	if err := r.Client.Get(ctx, types.NamespacedName{Name: name}, &ns); err != nil {
		return nil, fmt.Errorf("get Namespace %s: %w", name, err)
	}
	return ns.Labels, nil
}

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
