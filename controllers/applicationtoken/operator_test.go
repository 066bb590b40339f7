package applicationtoken_test

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
	"github.com/apptoken/operator/controllers/tokenrecord"
	"github.com/apptoken/operator/internal/directory"
	"github.com/apptoken/operator/internal/record/kube"
	"github.com/apptoken/operator/internal/record/recordtest"
)

// operator is a process of the operator. It reads and writes through c, and confirms through live.
type operator struct {
	w       *fixture
	c       client.Client
	tokens  *applicationtoken.Reconciler
	records *tokenrecord.Reconciler
}

func (w *fixture) newOperator(c client.Client, live client.Reader) *operator {
	store := kube.New(recordtest.Direct(c), live, w.ownNamespace)
	count := func(name string, by ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name}, by)
	}
	recorder := &metrics.Recorder{
		Decisions: count("decisions", "action", "reason"), Rotations: count("rotations", "reason"),
		Retirements: count("retirements", "reason"), ApplyReady: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "ready"}),
	}
	now := func() time.Time { return w.now }
	return &operator{
		w: w, c: c,
		tokens: &applicationtoken.Reconciler{
			Client: c, Live: live, Records: store, Now: now, Entropy: rand.Reader,
			Events: events.NewFakeRecorder(1 << 10), Metrics: recorder, Quota: directory.NewQuota(w.ownNamespace),
		},
		records: &tokenrecord.Reconciler{Client: c, Live: live, Records: store, Now: now, Metrics: recorder, Limiter: w.limiter},
	}
}

// pass runs each reconciler once on all objects.
func (o *operator) pass() error {
	var at v1alpha1.ApplicationToken
	err := o.c.Get(o.w.ctx, o.w.key(), &at)
	if err == nil {
		_, err = o.tokens.Reconcile(o.w.ctx, &at)
	}
	if client.IgnoreNotFound(err) != nil {
		return err
	}
	var list v1alpha1.TokenRecordList
	if err := o.c.List(o.w.ctx, &list, client.InNamespace(o.w.ownNamespace)); err != nil {
		return err
	}
	for i := range list.Items {
		if _, err := o.records.Reconcile(o.w.ctx, &list.Items[i]); err != nil {
			return err
		}
	}
	return nil
}

// settle runs passes until one succeeds and writes nothing.
func (o *operator) settle() error {
	for range 40 {
		before := o.w.writes.Load()
		err := o.pass()
		if errors.Is(err, errCrash) {
			return err
		}
		if err == nil && o.w.writes.Load() == before {
			return nil
		}
	}
	return errors.New("40 passes did not settle the world")
}

// settleOwnNamespace runs the leader until everything in the operator's own namespace has settled.
func (o *operator) settleOwnNamespace() error {
	for range 40 {
		var list v1alpha1.ApplicationTokenList
		if err := api.List(o.w.ctx, &list, client.InNamespace(o.w.ownNamespace)); err != nil {
			return err
		}
		before, failed := o.w.resourceVersions(), false
		for i := range list.Items {
			_, err := o.tokens.Reconcile(o.w.ctx, &list.Items[i])
			failed = failed || err != nil
		}
		failed = o.pass() != nil || failed
		if !failed && o.w.resourceVersions() == before {
			return nil
		}
	}
	return errors.New("40 passes did not bring what was made to rest")
}

// resourceVersions returns the resource versions of all objects in the operator's own namespace.
func (w *fixture) resourceVersions() string {
	var tokens v1alpha1.ApplicationTokenList
	var records v1alpha1.TokenRecordList
	w.must(api.List(w.ctx, &tokens, client.InNamespace(w.ownNamespace)))
	w.must(api.List(w.ctx, &records, client.InNamespace(w.ownNamespace)))
	text := ""
	for i := range tokens.Items {
		text += tokens.Items[i].Name + tokens.Items[i].ResourceVersion + "\n"
	}
	for i := range records.Items {
		text += records.Items[i].Name + records.Items[i].ResourceVersion + "\n"
	}
	return text
}

// settleWithNewLeader lets a leader that has just started settle everything.
func (w *fixture) settleWithNewLeader() {
	w.t.Helper()
	leader := w.newOperator(api, api)
	w.replayTokens(leader)
	w.must(leader.settleOwnNamespace())
}

// replayTokens passes every token of the fixture to an operator, as its watch does at the start.
func (w *fixture) replayTokens(o *operator) {
	w.t.Helper()
	feed := o.tokens.Quota.EventHandler()
	var list v1alpha1.ApplicationTokenList
	w.must(api.List(w.ctx, &list))
	for i := range list.Items {
		if at := &list.Items[i]; at.Namespace == w.ownNamespace || at.Namespace == w.namespace {
			feed.OnAdd(at, true)
		}
	}
}
