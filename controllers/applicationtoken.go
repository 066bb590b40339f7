package controllers

import (
	"context"
	"errors"
	"io"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/plan"
	"github.com/apptoken/operator/internal/record"
)

// mostSteps bounds the actions of one pass. Each action brings the token closer to the desired
// state, and few passes need more than six.
const mostSteps = 32

// errRestless reports that a pass took mostSteps actions and more were left: two rules undo each
// other.
var errRestless = errors.New("the token did not settle")

// ApplicationTokens reconciles ApplicationTokens.
type ApplicationTokens struct {
	Client  client.Client // reads may be from a cache
	Live    client.Reader // reads are from the API server
	Records *record.Kube
	Now     func() time.Time
	Entropy io.Reader // crypto/rand, except in tests of its failure
	Events  events.EventRecorder
	Metrics *Metrics
	Quota   *Quota

	// LastOutage returns when the API server last did not answer this replica. Nil means never.
	LastOutage func() time.Time

	began time.Time // begin of the term of leadership

	refusals    refusals
	restarts    restartRetries
	rollouts    rolloutLooks
	undelivered undelivered
	offered     tokenMemory // tokens in Secrets that their owners offer for adoption
}

// Reconcile runs one pass: it observes, plans and acts until nothing is left to do, and then
// updates the status.
func (r *ApplicationTokens) Reconcile(ctx context.Context, at *v1alpha1.ApplicationToken) (ctrl.Result, error) {
	now := r.Now().Truncate(time.Second) // records and statuses hold whole seconds
	if isTrimmed(at) {
		at = &v1alpha1.ApplicationToken{ObjectMeta: metav1.ObjectMeta{Namespace: at.Namespace, Name: at.Name}}
		if err := r.Live.Get(ctx, client.ObjectKeyFromObject(at), at); err != nil {
			return settle(now, time.Time{}, client.IgnoreNotFound(err), nil)
		}
	}
	if !at.DeletionTimestamp.IsZero() {
		return settle(now, time.Time{}, r.release(ctx, at), nil)
	}
	before := at.DeepCopy()
	w, s, p, err := r.converge(ctx, now, at)
	if ended(ctx) || stale(err) {
		return settle(now, time.Time{}, err, nil) // what was read is out of date or incomplete
	}
	if p.Why == plan.OnItsWay && err == nil {
		return settle(r.Now(), p.Wake, nil, nil) // there is nothing to report yet
	}
	describe(now, at, w, s, p, err)
	if _, refused := errors.AsType[*Refuse](err); err == nil || refused { // otherwise the next pass uses the reservation
		r.Quota.release(at)
	}
	restarted := r.restart(ctx, now, at, s)
	statusErr := r.say(ctx, before, at)
	return settle(r.Now(), earliest(p.Wake, restarted), err, statusErr)
}

// converge plans and acts until the planner has nothing left to do. It returns the last plan, and
// the desired and observed state at that time.
func (r *ApplicationTokens) converge(ctx context.Context, now time.Time, at *v1alpha1.ApplicationToken) (wish, seen, plan.Plan, error) {
	around, w, s, err := r.observe(ctx, at)
	s.UsesKnownFrom = usesKnownFrom(r.began, r.LastOutage)
	if err == nil {
		w, err = r.evaluate(ctx, at, around, w, s)
	}
	if err != nil {
		return w, s, plan.Plan{}, err
	}
	looked := false
	for range mostSteps {
		p := plan.ForToken(now, w.Desired, s.Observed)
		if !looked && rolloutsMatter(p, s.Observed) {
			looked = true
			r.lookAtRollouts(ctx, now, at, &s)
			p = plan.ForToken(now, w.Desired, s.Observed)
		}
		r.Metrics.decided(p)
		if p.Do == plan.Nothing {
			if err := r.withdraw(ctx, at, w, &s); err != nil {
				return w, s, p, err
			}
			if p.Why == plan.SecretTaken {
				if s.exchange, err = r.exchange(ctx, at); err != nil {
					return w, s, p, err
				}
			}
			r.remember(at, &s)
			return w, s, p, r.dropFormer(ctx, &s)
		}
		if err := r.act(ctx, now, at, w, &s, p); err != nil {
			return w, s, p, err
		}
		s.derive(at, w)
	}
	return w, s, plan.Plan{}, errRestless
}

// observe reads what a token depends on and its observed state. It restores what was lost beside
// the Secret and the records: the grants that a clone took over, the finalizer, and the annotation
// by which a token of delivery Response names its record. Without the finalizer, a deletion would
// leave the records behind.
func (r *ApplicationTokens) observe(ctx context.Context, at *v1alpha1.ApplicationToken) (surroundings, wish, seen, error) {
	resolver := Lookout{Client: r.Client, Live: r.Live, Records: r.Records}
	around, err := resolver.around(ctx, at)
	if err != nil {
		return surroundings{}, wish{}, seen{}, err
	}
	w := understand(at, around)
	s, err := r.look(ctx, at, w)
	if err != nil {
		return around, w, s, err
	}
	if recallClone(at, &s) {
		if around, err = resolver.around(ctx, at); err != nil {
			return around, w, s, err
		}
		w = understand(at, around)
		s.derive(at, w)
	}
	if len(s.records) > 0 {
		err = r.hold(ctx, at)
	}
	if err == nil && w.Answered && s.Current != nil && s.Current.Record != at.Annotations[v1alpha1.AnnotationRecord] {
		err = r.nameRecord(ctx, at, s.Current.Record)
	}
	return around, w, s, err
}

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
