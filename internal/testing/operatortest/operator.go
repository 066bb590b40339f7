package operatortest

import (
	"crypto/rand"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/controllers/applicationtoken"
	"github.com/apptoken/operator/controllers/metrics"
	"github.com/apptoken/operator/controllers/restart"
	"github.com/apptoken/operator/controllers/tokenrecord"
	"github.com/apptoken/operator/internal/directory"
	"github.com/apptoken/operator/internal/record/kube"
	"github.com/apptoken/operator/internal/record/recordtest"
)

// Operator runs the reconcilers of tokens and records.
type Operator struct {
	w       *Fixture
	c       client.Client
	Tokens  *applicationtoken.Reconciler
	Records *tokenrecord.Reconciler
}

// NewOperator returns another process of the operator. It reads and writes through c, and confirms
// through live.
func (w *Fixture) NewOperator(c client.Client, live client.Reader) *Operator {
	store := kube.New(recordtest.Direct(c), live, w.OwnNamespace)
	count := func(name string, by ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name}, by)
	}
	recorder := &metrics.Recorder{
		Decisions: count("decisions", "action", "reason"), Rotations: count("rotations", "reason"),
		Retirements: count("retirements", "reason"), ApplyReady: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "ready"}),
	}
	now := func() time.Time { return w.Now }
	return &Operator{
		w: w, c: c,
		Tokens: &applicationtoken.Reconciler{
			Client: c, Live: live, Records: store, Now: now, Entropy: rand.Reader,
			Events: events.NewFakeRecorder(1 << 10), Metrics: recorder, Quota: directory.NewQuota(w.OwnNamespace),
			Restarts: &restart.Restarter{Client: c, Live: live},
		},
		Records: &tokenrecord.Reconciler{Client: c, Live: live, Records: store, Now: now, Metrics: recorder, Limiter: w.Limiter},
	}
}

// Pass runs each reconciler once on all objects.
func (o *Operator) Pass() error {
	var at v1alpha1.ApplicationToken
	err := o.c.Get(o.w.Ctx, o.w.Key(), &at)
	if err == nil {
		_, err = o.Tokens.Reconcile(o.w.Ctx, &at)
	}
	if client.IgnoreNotFound(err) != nil {
		return err
	}
	var list v1alpha1.TokenRecordList
	if err := o.c.List(o.w.Ctx, &list, client.InNamespace(o.w.OwnNamespace)); err != nil {
		return err
	}
	for i := range list.Items {
		if _, err := o.Records.Reconcile(o.w.Ctx, &list.Items[i]); err != nil {
			return err
		}
	}
	return nil
}

// Settle runs passes until one succeeds and writes nothing.
func (o *Operator) Settle() error {
	for range 40 {
		before := o.w.Writes.Load()
		err := o.Pass()
		if errors.Is(err, ErrCrash) {
			return err
		}
		if err == nil && o.w.Writes.Load() == before {
			return nil
		}
	}
	return errors.New("40 passes did not settle")
}

// SettleOwnNamespace runs the leader until everything in the operator's own namespace has settled.
func (o *Operator) SettleOwnNamespace() error {
	for range 40 {
		var list v1alpha1.ApplicationTokenList
		if err := o.w.api.List(o.w.Ctx, &list, client.InNamespace(o.w.OwnNamespace)); err != nil {
			return err
		}
		before, failed := o.w.ResourceVersions(), false
		for i := range list.Items {
			_, err := o.Tokens.Reconcile(o.w.Ctx, &list.Items[i])
			failed = failed || err != nil
		}
		failed = o.Pass() != nil || failed
		if !failed && o.w.ResourceVersions() == before {
			return nil
		}
	}
	return errors.New("40 passes did not settle the operator's own namespace")
}

// ResourceVersions returns the resource versions of all objects in the operator's own namespace.
func (w *Fixture) ResourceVersions() string {
	var tokens v1alpha1.ApplicationTokenList
	var records v1alpha1.TokenRecordList
	w.Must(w.api.List(w.Ctx, &tokens, client.InNamespace(w.OwnNamespace)))
	w.Must(w.api.List(w.Ctx, &records, client.InNamespace(w.OwnNamespace)))
	text := ""
	for i := range tokens.Items {
		text += tokens.Items[i].Name + tokens.Items[i].ResourceVersion + "\n"
	}
	for i := range records.Items {
		text += records.Items[i].Name + records.Items[i].ResourceVersion + "\n"
	}
	return text
}

// SettleWithNewLeader lets a leader that has just started settle everything.
func (w *Fixture) SettleWithNewLeader() {
	w.T.Helper()
	leader := w.NewOperator(w.api, w.api)
	w.ReplayTokens(leader)
	w.Must(leader.SettleOwnNamespace())
}

// ReplayTokens passes every token of the fixture to an operator, as its watch does at the start.
func (w *Fixture) ReplayTokens(o *Operator) {
	w.T.Helper()
	feed := o.Tokens.Quota.EventHandler()
	var list v1alpha1.ApplicationTokenList
	w.Must(w.api.List(w.Ctx, &list))
	for i := range list.Items {
		if at := &list.Items[i]; at.Namespace == w.OwnNamespace || at.Namespace == w.Namespace {
			feed.OnAdd(at, true)
		}
	}
}
