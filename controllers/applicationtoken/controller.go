package applicationtoken

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
	"github.com/apptoken/operator/controllers/metrics"
	"github.com/apptoken/operator/controllers/restart"
	"github.com/apptoken/operator/controllers/result"
	"github.com/apptoken/operator/internal/apierr"
	"github.com/apptoken/operator/internal/directory"
	"github.com/apptoken/operator/internal/plan"
	"github.com/apptoken/operator/internal/record/kube"
	"github.com/apptoken/operator/internal/tokenspec"
)

// maxSteps bounds the actions of one pass. Each action brings the token closer to the desired
// state, and few passes need more than six.
const maxSteps = 32

// errTooManySteps reports that a pass took maxSteps actions and more were left: two rules undo each
// other.
var errTooManySteps = errors.New("the token did not settle")

// Reconciler reconciles ApplicationTokens.
type Reconciler struct {
	Client   client.Client // reads may be from a cache
	Live     client.Reader // reads are from the API server
	Records  *kube.Store
	Now      func() time.Time
	Entropy  io.Reader // crypto/rand, except in tests of its failure
	Events   events.EventRecorder
	Metrics  *metrics.Recorder
	Quota    *directory.Quota
	Restarts *restart.Restarter

	// LastOutage returns when the API server last did not answer this replica. Nil means never.
	LastOutage func() time.Time

	began time.Time // begin of the term of leadership

	writeBackoff  writeBackoff
	pendingTokens pendingTokens
	offeredTokens tokenMemory // tokens in Secrets that their owners offer for adoption
}

// Reconcile runs one pass: it observes, plans and acts until nothing is left to do, and then
// updates the status.
func (r *Reconciler) Reconcile(ctx context.Context, at *v1alpha1.ApplicationToken) (ctrl.Result, error) {
	now := r.Now().Truncate(time.Second) // records and statuses hold whole seconds
	if directory.IsTrimmed(at) {
		at = &v1alpha1.ApplicationToken{ObjectMeta: metav1.ObjectMeta{Namespace: at.Namespace, Name: at.Name}}
		if err := r.Live.Get(ctx, client.ObjectKeyFromObject(at), at); err != nil {
			return result.Settle(now, time.Time{}, client.IgnoreNotFound(err), nil)
		}
	}
	if !at.DeletionTimestamp.IsZero() {
		return result.Settle(now, time.Time{}, r.finalize(ctx, at), nil)
	}
	before := at.DeepCopy()
	spec, s, p, err := r.converge(ctx, now, at)
	if isShuttingDown(ctx) || apierr.IsStale(err) {
		return result.Settle(now, time.Time{}, err, nil) // what was read is out of date or incomplete
	}
	if p.Why == plan.DeliveryPending && err == nil {
		return result.Settle(r.Now(), p.Wake, nil, nil) // there is nothing to report yet
	}
	setStatus(now, at, spec, s, p, err)
	if _, refused := errors.AsType[*apierr.Refuse](err); err == nil || refused { // otherwise the next pass uses the reservation
		r.Quota.Release(at)
	}
	restarted := r.Restarts.Restart(ctx, now, at, s.delivery())
	statusErr := r.updateStatus(ctx, before, at)
	return result.Settle(r.Now(), plan.Earliest(p.Wake, restarted), err, statusErr)
}

// isShuttingDown reports whether the operator's own shutdown interrupted the pass.
func isShuttingDown(ctx context.Context) bool { return ctx.Err() != nil }

// converge plans and acts until the planner has nothing left to do. It returns the last plan, and
// the desired and observed state at that time.
func (r *Reconciler) converge(ctx context.Context, now time.Time, at *v1alpha1.ApplicationToken) (tokenspec.Desired, observed, plan.Plan, error) {
	refs, spec, s, err := r.observe(ctx, at)
	s.UsesKnownFrom = directory.UsesKnownFrom(r.began, r.LastOutage)
	if err == nil {
		spec, err = r.evaluateQuota(ctx, at, refs, spec, s)
	}
	if err != nil {
		return spec, s, plan.Plan{}, err
	}
	rolloutsObserved := false
	for range maxSteps {
		p := plan.ForToken(now, spec.Desired, s.Observed)
		if !rolloutsObserved && restart.NeedsRolloutCheck(p, s.Observed) {
			rolloutsObserved = true
			r.Restarts.ObserveRollouts(ctx, now, at, &s.Observed)
			p = plan.ForToken(now, spec.Desired, s.Observed)
		}
		r.Metrics.CountDecision(p)
		if p.Do == plan.Nothing {
			if err := r.withdrawMetadata(ctx, at, spec, &s); err != nil {
				return spec, s, p, err
			}
			if p.Why == plan.SecretTaken {
				if s.secretNameCycle, err = r.secretNameCycle(ctx, at); err != nil {
					return spec, s, p, err
				}
			}
			r.rememberOfferedToken(at, &s)
			return spec, s, p, r.deleteFormerSecret(ctx, &s)
		}
		if err := r.execute(ctx, now, at, spec, &s, p); err != nil {
			return spec, s, p, err
		}
		s.derive(at, spec)
	}
	return spec, s, plan.Plan{}, errTooManySteps
}

// observe reads what a token depends on and its observed state. It restores what was lost beside
// the Secret and the records: the grants that a clone took over, the finalizer, and the annotation
// by which a token of delivery Response names its record. Without the finalizer, a deletion would
// leave the records behind.
func (r *Reconciler) observe(ctx context.Context, at *v1alpha1.ApplicationToken) (tokenspec.References, tokenspec.Desired, observed, error) {
	resolver := tokenspec.Resolver{Client: r.Client, Live: r.Live, Records: r.Records}
	refs, err := resolver.Resolve(ctx, at)
	if err != nil {
		return tokenspec.References{}, tokenspec.Desired{}, observed{}, err
	}
	spec := tokenspec.Build(at, refs)
	s, err := r.observeObjects(ctx, at, spec)
	if err != nil {
		return refs, spec, s, err
	}
	if restoreClonedGrants(at, &s) {
		if refs, err = resolver.Resolve(ctx, at); err != nil {
			return refs, spec, s, err
		}
		spec = tokenspec.Build(at, refs)
		s.derive(at, spec)
	}
	if len(s.records) > 0 {
		err = r.addFinalizer(ctx, at)
	}
	if err == nil && spec.DeliveredInResponse && s.Current != nil && s.Current.Record != at.Annotations[v1alpha1.AnnotationRecord] {
		err = r.restoreRecordAnnotation(ctx, at, s.Current.Record)
	}
	return refs, spec, s, err
}
