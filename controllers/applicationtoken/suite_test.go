package applicationtoken_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/controllers/applicationtoken"
	"github.com/apptoken/operator/controllers/gc"
	"github.com/apptoken/operator/controllers/metrics"
	"github.com/apptoken/operator/controllers/tokenrecord"
	"github.com/apptoken/operator/internal/directory"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/record/kube"
	"github.com/apptoken/operator/internal/record/recordtest"
	"github.com/apptoken/operator/internal/render"
	"github.com/apptoken/operator/internal/testing/controlplane"
	"github.com/apptoken/operator/internal/token"
)

// api reads and writes the real API server, with every permission and without a cache.
var api client.WithWatch

// admin is the configuration of an administrator, for tests that need a cache.
var admin *rest.Config

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard()) // the tests check the errors themselves
	os.Exit(func() int {
		c, err := controlplane.Start()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() {
			if err := c.Stop(); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		}()
		admin = c.Admin
		scheme := runtime.NewScheme()
		if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		if api, err = client.NewWithWatch(c.Admin, client.Options{Scheme: scheme}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// fixture is the fixture of one token in namespaces of its own. A test starts each pass, and steps
// the clock.
type fixture struct {
	t            *testing.T
	ctx          context.Context
	clientName   string // name of the Client
	namespace    string // namespace of the token
	ownNamespace string // namespace of the operator
	now          time.Time
	limiter      *gc.Limiter
	writes       atomic.Int64 // of all operators of this fixture
	history      history
}

// history holds what was observed of the fixture so far. The invariants are checked against it.
type history struct {
	alive     map[string]time.Time // superseded records by name, and when they expire
	seen      map[string]bool      // records that were observed
	gone      map[string]bool      // records that were observed, and later were gone
	delivered []token.Digest       // tokens that the Secret held, in this order
	revoked   string               // the record that a test deleted
	ending    bool                 // revoked or deleted: no token has to be accepted any more
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	w := &fixture{
		t: t, ctx: t.Context(), now: time.Now().Truncate(time.Second),
		limiter: gc.NewLimiter(gc.Rate, gc.Burst),
		history: history{alive: map[string]time.Time{}, seen: map[string]bool{}, gone: map[string]bool{}},
	}
	for _, ns := range []struct {
		prefix string
		name   *string
	}{{"shop-", &w.namespace}, {"own-", &w.ownNamespace}} {
		obj := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: ns.prefix}}
		w.must(api.Create(w.ctx, obj))
		*ns.name = obj.Name
	}
	w.clientName = strings.Replace(w.namespace, "shop", "acme", 1)
	w.must(api.Create(w.ctx, &v1alpha1.Client{
		ObjectMeta: metav1.ObjectMeta{Name: w.clientName},
		Spec: v1alpha1.ClientSpec{
			Roles: []v1alpha1.Role{{Name: "primary", Permissions: []v1alpha1.Permission{"search.*"}}, {Name: "second"}},
			Grants: []v1alpha1.Grant{{
				Namespaces: v1alpha1.NamespaceSelection{Names: []string{w.namespace}}, Roles: []v1alpha1.RoleName{"primary", "second"},
			}},
		},
	}))
	return w
}

func (w *fixture) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *fixture) key() types.NamespacedName {
	return types.NamespacedName{Namespace: w.namespace, Name: "indexer"}
}

// declareToken creates the token, with the trigger and the retirement that the lifecycle changes.
func (w *fixture) declareToken() error {
	return api.Create(w.ctx, &v1alpha1.ApplicationToken{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "indexer"},
		Spec: v1alpha1.ApplicationTokenSpec{
			ClientRef: &v1alpha1.Reference{Name: v1alpha1.ObjectName(w.clientName)},
			Roles:     []v1alpha1.RoleName{"primary"},
			Rotation: v1alpha1.Rotation{Trigger: "1", Retire: &v1alpha1.Retire{
				MinOverlap: "10m", QuietPeriod: "1h", MaxOverlap: "24h",
			}},
		},
	})
}

// editToken changes the token as its owner would.
func (w *fixture) editToken(change func(*v1alpha1.ApplicationToken)) error {
	for {
		var at v1alpha1.ApplicationToken
		if err := api.Get(w.ctx, w.key(), &at); err != nil {
			return err
		}
		change(&at)
		if err := api.Update(w.ctx, &at); !apierrors.IsConflict(err) {
			return err
		}
	}
}

// operator is a process of the operator. It reads and writes through c, and confirms through live.
type operator struct {
	w       *fixture
	c       client.Client
	tokens  *applicationtoken.Reconciler
	records *tokenrecord.Reconciler
}

// store returns the records of the fixture, as the API server has them.
func (w *fixture) store() *kube.Store { return kube.New(recordtest.Direct(api), api, w.ownNamespace) }

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

// checkInvariants checks the fixture against the invariants of the design, as it is at this moment.
func (w *fixture) checkInvariants() error {
	var list v1alpha1.TokenRecordList
	if err := api.List(w.ctx, &list, client.InNamespace(w.ownNamespace)); err != nil {
		return err
	}
	live := map[string]record.Record{}
	predecessors := 0
	for i := range list.Items {
		r, err := kube.FromObject(&list.Items[i])
		if err != nil {
			return err
		}
		if w.history.gone[r.Name()] {
			return fmt.Errorf("[3] record %s was gone and is back", r.Name())
		}
		if !r.SupersededAt.IsZero() {
			predecessors++
			if end, ok := w.history.alive[r.Name()]; r.ExpiresAt.IsZero() || ok && r.ExpiresAt.After(end) {
				return fmt.Errorf("[5] the life of predecessor %s was extended", r.Name())
			}
			w.history.alive[r.Name()] = r.ExpiresAt
		}
		live[r.Name()] = r
	}
	if predecessors > 3 {
		return fmt.Errorf("%d predecessors are kept", predecessors)
	}
	for name := range w.history.seen {
		if _, ok := live[name]; !ok {
			w.history.gone[name] = true
		}
	}
	for name := range live {
		w.history.seen[name] = true
	}
	return w.checkSecret(live)
}

// checkSecret checks what a workload has: the token in the Secret, and the one before.
func (w *fixture) checkSecret(live map[string]record.Record) error {
	var secret corev1.Secret
	if err := api.Get(w.ctx, w.key(), &secret); err != nil {
		return client.IgnoreNotFound(err)
	}
	held, err := token.Parse(string(secret.Data["token"]))
	if err != nil {
		return fmt.Errorf("the Secret holds no token: %w", err)
	}
	n := len(w.history.delivered)
	if n == 0 || w.history.delivered[n-1] != held.Digest() {
		w.history.delivered = append(w.history.delivered, held.Digest())
		n++
	}
	if w.history.ending {
		return nil
	}
	if r, ok := live[held.Digest().RecordName()]; !ok || r.Suspended || !r.SupersededAt.IsZero() && !w.now.Before(r.ExpiresAt) {
		return errors.New("[2] the Secret holds a token that no live record vouches for")
	}
	if _, ok := render.Find(secret.Data, held.Digest()); !ok {
		return errors.New("[2] the token in the Secret is not found again")
	}
	if n < 2 || w.history.delivered[n-2].RecordName() == w.history.revoked {
		return nil
	}
	before, ok := live[w.history.delivered[n-2].RecordName()]
	if ok && before.SupersededAt.IsZero() || ok && w.now.Before(before.ExpiresAt) {
		return nil
	}
	if current := live[held.Digest().RecordName()]; w.now.Before(current.IssuedAt.Add(10 * time.Minute)) {
		return errors.New("the predecessor is dead within its minOverlap: pods that hold it fail")
	}
	return nil
}

// recordsLeft counts the records of the fixture.
func (w *fixture) recordsLeft() int {
	var list v1alpha1.TokenRecordList
	w.must(api.List(w.ctx, &list, client.InNamespace(w.ownNamespace)))
	return len(list.Items)
}

// newestRecordName returns the name of the newest record of the fixture.
func (w *fixture) newestRecordName() string {
	w.t.Helper()
	var list v1alpha1.TokenRecordList
	w.must(api.List(w.ctx, &list, client.InNamespace(w.ownNamespace)))
	newest := -1
	for i := range list.Items {
		if newest < 0 || list.Items[i].Spec.Version > list.Items[newest].Spec.Version {
			newest = i
		}
	}
	if newest < 0 {
		w.t.Fatal("there is no record")
	}
	return list.Items[newest].Name
}
