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
	"github.com/apptoken/operator/internal/issue"
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
	offeredTokens tokenMemory // tokens in Secrets that their owners offer for adoption

	// pendingTokens keeps the token of a version while its Secret is being written. If the API
	// server gives no response, the next attempt uses the same token. Otherwise attempts would
	// leave records behind that could be taken for versions which a client holds. A crash loses
	// this memory, and garbage collection deletes the one record that is left.
	pendingTokens tokenMemory
}

// pass is one reconcile of a token: what it observed, and what the planner decided last.
type pass struct {
	*Reconciler
	now  time.Time // in whole seconds, as records and statuses hold instants
	at   *v1alpha1.ApplicationToken
	refs tokenspec.References
	spec tokenspec.Desired
	observed
	plan plan.Plan
}

// Reconcile runs one pass: it observes, plans and acts until nothing is left to do, and then
// updates the status.
func (r *Reconciler) Reconcile(ctx context.Context, at *v1alpha1.ApplicationToken) (ctrl.Result, error) {
	p := &pass{Reconciler: r, now: r.Now().Truncate(time.Second), at: at}
	if directory.IsTrimmed(at) {
		p.at = &v1alpha1.ApplicationToken{ObjectMeta: metav1.ObjectMeta{Namespace: at.Namespace, Name: at.Name}}
		if err := r.Live.Get(ctx, client.ObjectKeyFromObject(at), p.at); err != nil {
			return result.Settle(p.now, time.Time{}, client.IgnoreNotFound(err), nil)
		}
	}
	if !p.at.DeletionTimestamp.IsZero() {
		return result.Settle(p.now, time.Time{}, p.finalize(ctx), nil)
	}
	before := p.at.DeepCopy()
	err := p.converge(ctx)
	if isShuttingDown(ctx) || apierr.IsStale(err) {
		return result.Settle(p.now, time.Time{}, err, nil) // what was read is out of date or incomplete
	}
	if p.plan.Why == plan.DeliveryPending && err == nil {
		return result.Settle(r.Now(), p.plan.Wake, nil, nil) // there is nothing to report yet
	}
	p.setStatus(err)
	if _, refused := errors.AsType[*apierr.Refuse](err); err == nil || refused { // otherwise the next pass uses the reservation
		r.Quota.Release(p.at)
	}
	restarted := r.Restarts.Restart(ctx, p.now, p.at, p.delivery())
	statusErr := p.updateStatus(ctx, before)
	return result.Settle(r.Now(), plan.Earliest(p.plan.Wake, restarted), err, statusErr)
}

// isShuttingDown reports whether the operator's own shutdown interrupted the pass.
func isShuttingDown(ctx context.Context) bool { return ctx.Err() != nil }

// converge plans and acts until the planner has nothing left to do.
func (p *pass) converge(ctx context.Context) error {
	err := p.observe(ctx)
	p.UsesKnownFrom = directory.UsesKnownFrom(p.began, p.LastOutage)
	if err == nil {
		err = p.evaluateQuota(ctx)
	}
	if err != nil {
		return err
	}
	rolloutsObserved := false
	for range maxSteps {
		p.plan = plan.ForToken(p.now, p.spec.Desired, p.Observed)
		if !rolloutsObserved && restart.NeedsRolloutCheck(p.plan, p.Observed) {
			rolloutsObserved = true
			p.Restarts.ObserveRollouts(ctx, p.now, p.at, &p.Observed)
			p.plan = plan.ForToken(p.now, p.spec.Desired, p.Observed)
		}
		p.Metrics.CountDecision(p.plan)
		if p.plan.Do == plan.Nothing {
			return p.conclude(ctx)
		}
		if err := p.execute(ctx); err != nil {
			return err
		}
		p.derive()
	}
	p.plan = plan.Plan{}
	return errTooManySteps
}

// conclude does what no plan asks for, once the planner has nothing left to do.
func (p *pass) conclude(ctx context.Context) error {
	if err := p.withdrawMetadata(ctx); err != nil {
		return err
	}
	if p.plan.Why == plan.SecretTaken {
		var err error
		if p.secretNameCycle, err = p.findSecretNameCycle(ctx, p.at); err != nil {
			return err
		}
	}
	p.rememberOfferedToken()
	return p.deleteFormerSecret(ctx)
}

// observe reads what a token depends on and its observed state. It restores what was lost beside
// the Secret and the records: the grants that a clone took over, the finalizer, and the annotation
// by which a token of delivery Response names its record. Without the finalizer, a deletion would
// leave the records behind.
func (p *pass) observe(ctx context.Context) error {
	if err := p.resolve(ctx); err != nil {
		return err
	}
	if err := p.observeObjects(ctx); err != nil {
		return err
	}
	if p.restoreClonedGrants() {
		if err := p.resolve(ctx); err != nil {
			return err
		}
		p.derive()
	}
	if len(p.records) > 0 {
		if err := p.addFinalizer(ctx); err != nil {
			return err
		}
	}
	if p.spec.DeliveredInResponse && p.Current != nil && p.Current.Record != p.at.Annotations[v1alpha1.AnnotationRecord] {
		return p.restoreRecordAnnotation(ctx, p.Current.Record)
	}
	return nil
}

// resolve reads what the token refers to, and builds the desired state.
func (p *pass) resolve(ctx context.Context) error {
	refs, err := p.resolver().Resolve(ctx, p.at)
	if err == nil {
		p.refs, p.spec = refs, tokenspec.Build(p.at, refs)
	}
	return err
}

func (r *Reconciler) resolver() tokenspec.Resolver {
	return tokenspec.Resolver{Client: r.Client, Live: r.Live, Records: r.Records}
}

func (r *Reconciler) issuer() issue.Issuer {
	return issue.Issuer{Client: r.Client, Records: r.Records}
}
