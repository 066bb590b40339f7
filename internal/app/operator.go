package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/controllers/applicationtoken"
	clientctrl "github.com/apptoken/operator/controllers/client"
	"github.com/apptoken/operator/controllers/gc"
	"github.com/apptoken/operator/controllers/index"
	ctrlmetrics "github.com/apptoken/operator/controllers/metrics"
	"github.com/apptoken/operator/controllers/restart"
	"github.com/apptoken/operator/controllers/session"
	"github.com/apptoken/operator/controllers/tokenrecord"
	userctrl "github.com/apptoken/operator/controllers/user"
	"github.com/apptoken/operator/internal/app/health"
	"github.com/apptoken/operator/internal/app/informer"
	"github.com/apptoken/operator/internal/app/leaderelection"
	"github.com/apptoken/operator/internal/app/metrics"
	"github.com/apptoken/operator/internal/app/options"
	"github.com/apptoken/operator/internal/app/preflight"
	"github.com/apptoken/operator/internal/directory"
	"github.com/apptoken/operator/internal/freshness"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/record/kube"
	"github.com/apptoken/operator/internal/server"
	"github.com/apptoken/operator/internal/verify"
)

// eventSource is the name under which the operator publishes events.
const eventSource = "apptoken-operator"

// Scheme returns a scheme of the Kubernetes kinds and the operator's.
func Scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(s))
	utilruntime.Must(v1alpha1.AddToScheme(s))
	return s
}

// Operator is a wired operator, ready to start. It does not use the manager's own leader election,
// with which a lost Lease would end the manager.
type Operator struct {
	Manager   manager.Manager             // of the parts that run on every replica
	Listeners map[string]*server.Listener // the open listeners, keyed by flag
	Index     *verify.Index               // of records, owners, users and clients, in memory
	Directory *login.Directory            // the users that may log in, and their accounts
	Quota     *directory.Quota            // the number of tokens of each client

	MetricsAddr net.Addr // of /metrics; nil: not served

	readinessChecks map[string]health.Check
	checkIndex      health.Check // returns an error until the index is complete
	watches         *freshness.Watches
	metrics         *prometheus.Registry // of this operator alone

	passwordCache    cache.Cache      // of the Secrets in the operator's own namespace
	lastOutage       func() time.Time // when the API server last did not answer this replica
	candidate        *leaderelection.Candidate
	reconcilerSetups []func(*leaderelection.Term) error // add the reconcilers of a term of leadership
}

// NewOperator returns an operator for a cluster, once the API server answers and the cluster has
// what the operator needs.
func NewOperator(ctx context.Context, to *rest.Config, o options.Options) (*Operator, error) {
	to = rest.CopyConfig(to)
	// The API server's priority and fairness limits the operator.
	to.QPS = -1
	// Compression costs the API server more time than the network; its own components disable it
	// too.
	to.DisableCompression = true
	needs := preflight.Options{Scheme: Scheme(), Namespace: o.Namespace, HealthAddress: o.HealthAddress}
	for {
		if err := preflight.AwaitCluster(ctx, to, needs); err != nil {
			return nil, err
		}
		op, err := wire(ctx, to, o)
		if err == nil || !preflight.IsUnavailable(err) {
			return op, err
		}
		select { // the API server became unavailable in between
		case <-ctx.Done():
			return nil, err
		case <-time.After(preflight.RetryInterval):
		}
	}
}

// wire creates all parts of an operator. It discovers the kinds that the API server serves.
func wire(ctx context.Context, to *rest.Config, o options.Options) (*Operator, error) {
	cached := metrics.NewCacheBytes()
	inform := informer.Factory{
		Cached: cached, Watches: &freshness.Watches{}, Limits: freshness.LimitsOf(o.Endpoints.MaxStaleness), ReadsPromptBookmarks: informer.ReadsPromptBookmarks(to),
	}
	mgr, err := ctrl.NewManager(to, managerOptions(o, inform))
	if err != nil {
		return nil, fmt.Errorf("reach the cluster: %w", err)
	}
	if err := index.AddTo(ctx, mgr.GetFieldIndexer()); err != nil {
		return nil, err
	}
	op := &Operator{
		Manager: mgr, Index: &verify.Index{}, Directory: &login.Directory{}, Quota: directory.NewQuota(o.Namespace), readinessChecks: map[string]health.Check{},
		watches: inform.Watches, metrics: prometheus.NewRegistry(),
	}
	if op.passwordCache, err = newPasswordCache(mgr, to, o.Namespace, inform); err != nil {
		return nil, err
	}
	if err := op.addIndexHandlers(ctx, o.Namespace); err != nil {
		return nil, err
	}
	counters, collectors := metrics.NewRecorder()
	store := kube.New(mgr.GetClient(), mgr.GetAPIReader(), o.Namespace)
	op.reconcilerSetups = append(op.reconcilerSetups, func(t *leaderelection.Term) error { return op.addReconcilers(t, store, o, counters) })
	if err := op.addLeadership(to, o); err != nil {
		return nil, err
	}
	collectors = append(collectors, cached)
	collectors = append(collectors, metrics.Inventory{Reader: mgr.GetCache(), IsLeading: op.IsLeading, Index: op.Index, Now: time.Now})
	if err := metrics.Register(op.metrics, collectors...); err != nil {
		return nil, err
	}
	if err := op.addEndpoints(ctx, store, o); err != nil {
		closeListeners(op.Listeners)
		return nil, err
	}
	return op, nil
}

// addLeadership adds leader election, which runs the reconcilers while this replica leads.
func (op *Operator) addLeadership(to *rest.Config, o options.Options) error {
	log := ctrl.Log.WithName("leadership")
	waiting, err := metrics.QueueDepth()
	if err != nil {
		return err
	}
	op.candidate = &leaderelection.Candidate{Log: log, RunTerm: func(ctx context.Context) error {
		defer waiting.Reset()
		defer op.Quota.StopAllocation()
		t := &leaderelection.Term{Manager: op.Manager}
		for _, add := range op.reconcilerSetups {
			if err := add(t); err != nil {
				return err
			}
		}
		return t.Start(ctx)
	}}
	if o.LeaderElect {
		events := op.Manager.GetEventRecorderFor(leaderelection.LeaseName) //nolint:staticcheck // leader election has no other recorder
		lease, err := leaderelection.NewLease(to, o.Namespace, events, log)
		if err != nil {
			return err
		}
		op.candidate.Lease = lease
	}
	return op.Manager.Add(op.candidate)
}

// IsLeading reports whether this replica reconciles.
func (op *Operator) IsLeading() bool { return op.candidate.IsLeading() }

// Metrics returns the gatherer of a scrape.
func (op *Operator) Metrics() prometheus.Gatherer { return metrics.GathererOf(op.metrics) }

// managerOptions returns options that limit the caches to what the operator needs: Secrets with the
// operator's label, and records in its own namespace.
func managerOptions(o options.Options, inform informer.Factory) manager.Options {
	var served map[string]cache.Config // nil: all
	if len(o.Namespaces) > 0 {
		// Tokens that are created over HTTP are in the operator's own namespace.
		served = map[string]cache.Config{o.Namespace: {}}
	}
	for _, name := range o.Namespaces {
		served[name] = cache.Config{}
	}
	return manager.Options{
		Scheme: Scheme(),
		Cache: cache.Options{
			DefaultTransform: directory.TrimForCache,
			NewInformer:      inform.NewForOperator,
			ByObject: map[client.Object]cache.ByObject{
				&v1alpha1.ApplicationToken{}: {Namespaces: served},
				&v1alpha1.TokenRecord{}:      {Namespaces: map[string]cache.Config{o.Namespace: {}}},
				&corev1.Secret{}: {
					Namespaces: served,
					Label:      labels.SelectorFromSet(labels.Set{v1alpha1.LabelManaged: "true"}),
				},
			},
		},
		Client: client.Options{Cache: &client.CacheOptions{
			// This saves work that a stale cache would cause, and nothing depends on it. It is not
			// available with caches of several namespaces.
			EnableReadYourWritesConsistency: new(len(o.Namespaces) == 0),
		}},
		// Names are unique in one term of leadership; one process has several terms.
		Controller:              config.Controller{SkipNameValidation: new(true)},
		Metrics:                 metricsserver.Options{BindAddress: "0"}, // served by addMetrics
		HealthProbeBindAddress:  "0",                                     // served by addProbes
		GracefulShutdownTimeout: new(o.Endpoints.ShutdownDelay + server.MaxResponseTime + 5*time.Second),
	}
}

// addIndexHandlers adds the event handlers that keep the index up to date, and makes readiness wait
// until the index is complete.
func (op *Operator) addIndexHandlers(ctx context.Context, own string) error {
	namespaces := &metav1.PartialObjectMetadata{}
	namespaces.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	userSync := &directory.UserSync{Index: op.Index, Directory: op.Directory}
	var fed []toolscache.ResourceEventHandlerRegistration
	for _, w := range []struct {
		from cache.Cache
		of   client.Object
		to   toolscache.ResourceEventHandler
	}{
		{op.Manager.GetCache(), &v1alpha1.TokenRecord{}, kube.NewEventHandler(op.Index)},
		{op.Manager.GetCache(), &v1alpha1.Client{}, directory.NewClientHandler(op.Index, op.Directory)},
		{op.Manager.GetCache(), &v1alpha1.User{}, userSync.UserHandler()},
		{op.Manager.GetCache(), &v1alpha1.ApplicationToken{}, directory.NewOwnerHandler(op.Index, own)},
		{op.Manager.GetCache(), namespaces, directory.NewNamespaceHandler(op.Index)},
		{op.passwordCache, &corev1.Secret{}, userSync.PasswordHandler()},
	} {
		registration, err := addEventHandler(ctx, w.from, w.of, w.to)
		if err != nil {
			return err
		}
		fed = append(fed, registration)
	}
	counting, err := addEventHandler(ctx, op.Manager.GetCache(), &v1alpha1.ApplicationToken{}, op.Quota.EventHandler())
	if err != nil {
		return err
	}
	op.Quota.Synced = counting.HasSynced
	fed = append(fed, counting)
	op.checkIndex = func() error {
		for _, registration := range fed {
			if !registration.HasSynced() {
				return errors.New("the index of records is not complete yet")
			}
		}
		return nil
	}
	op.readinessChecks["records"] = op.checkIndex
	return nil
}

// addReconcilers adds the reconcilers of tokens, clients, users and records to a term.
func (op *Operator) addReconcilers(mgr *leaderelection.Term, store *kube.Store, o options.Options, m *ctrlmetrics.Recorder) error {
	recorder := mgr.GetEventRecorder(eventSource)
	tokens := &applicationtoken.Reconciler{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Records: store,
		Now: time.Now, Entropy: rand.Reader, Events: recorder, Metrics: m, Quota: op.Quota, LastOutage: op.lastOutage,
		Restarts: &restart.Restarter{Client: mgr.GetClient(), Live: mgr.GetAPIReader()},
	}
	limiter := gc.NewLimiter(gc.Rate, gc.Burst)
	records := &tokenrecord.Reconciler{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Records: store, Now: time.Now, Metrics: m, Limiter: limiter,
	}
	clients := &clientctrl.Reconciler{Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Now: time.Now, Events: recorder}
	users := &userctrl.Reconciler{Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Passwords: op.passwordCache, Records: store, Now: time.Now, Events: recorder}
	logins := &session.Reconciler{Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Passwords: op.passwordCache, Records: store, Now: time.Now, Limiter: limiter}
	return errors.Join(
		tokens.SetupWithManager(mgr, o.Workers),
		records.SetupWithManager(mgr, o.Workers),
		clients.SetupWithManager(mgr),
		users.SetupWithManager(mgr, mgr.CacheView(op.passwordCache)),
		logins.SetupWithManager(mgr, mgr.CacheView(op.passwordCache), o.Workers),
	)
}
