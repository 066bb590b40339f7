package app

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"net/netip"
	"runtime"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/apptoken/operator/internal/app/health"
	"github.com/apptoken/operator/internal/app/metrics"
	"github.com/apptoken/operator/internal/app/options"
	"github.com/apptoken/operator/internal/audit"
	"github.com/apptoken/operator/internal/directory"
	"github.com/apptoken/operator/internal/freshness"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/management"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/record/kube"
	"github.com/apptoken/operator/internal/server"
	"github.com/apptoken/operator/internal/server/endpoint"
	"github.com/apptoken/operator/internal/verify"
)

// defaultPasswordChecks is the default for the number of passwords checked at once, on machines
// with at least as many processors. The memory that checks need does not grow with the processors.
const defaultPasswordChecks = 4

// endpointWiring connects the parts of an operator that serve, on every replica.
type endpointWiring struct {
	*Operator
	options  options.Options
	store    *kube.Store
	counters metrics.Endpoints
	verifier *verify.Verifier
	closed   chan struct{} // closed when the last listener has ended
}

// addEndpoints adds to the manager the parts that serve, on every replica: the listeners, the
// writer of last uses, and the heartbeat that checks the API server.
func (op *Operator) addEndpoints(ctx context.Context, store *kube.Store, o options.Options) error {
	w := endpointWiring{Operator: op, options: o, store: store, counters: metrics.NewEndpoints(), closed: make(chan struct{})}
	w.verifier = verify.NewVerifier(op.Index, store, verify.Options{
		LookupsPerSecond: o.Endpoints.LookupsPerSecond, MaxStaleness: o.Endpoints.MaxStaleness, Now: time.Now,
		OnLookup: func(l verify.Lookup) { w.counters.Lookups.WithLabelValues(string(l)).Inc() },
	})
	beats := w.newHeartbeat()
	op.lastOutage = beats.LastOutage
	if err := metrics.Register(op.metrics, append(w.counters.Collectors(), beats)...); err != nil {
		return err
	}
	endpoints := w.newEndpoints()
	t, err := w.newTLSConfigs(endpoints)
	if err != nil {
		return err
	}
	if op.Listeners, err = w.newListeners(ctx, endpoints, t); err != nil {
		return err
	}
	op.readinessChecks[health.APIServerCheck] = beats.Ready
	for name, l := range op.Listeners {
		op.readinessChecks[name] = l.Ready
	}
	return errors.Join(
		op.Manager.Add(&listenerGroup{op.Listeners, w.closed}),
		op.Manager.Add(auditSummaries{endpoints.Audit, w.closed}),
		w.addMetrics(ctx, t.server),
		w.addProbes(ctx, beats),
		op.Manager.Add(beats),
		op.Manager.Add(w.newUsageWriter()),
	)
}

// newHeartbeat returns the heartbeat, which opens and closes the verifier.
func (w *endpointWiring) newHeartbeat() *health.Heartbeat {
	return &health.Heartbeat{
		Live:            w.Manager.GetAPIReader(),
		Namespace:       w.options.Namespace,
		CheckIndex:      w.checkIndex,
		Verifier:        w.verifier,
		Watches:         w.watches,
		Limits:          freshness.LimitsOf(w.options.Endpoints.MaxStaleness),
		Log:             ctrl.Log.WithName("freshness"),
		Now:             time.Now,
		EndpointsClosed: w.closed,
	}
}

// newEndpoints returns the endpoints with the services behind them.
func (w *endpointWiring) newEndpoints() *server.Endpoints {
	o := w.options.Endpoints
	endpoints := &server.Endpoints{
		Base: endpoint.Base{
			Verifier:       w.verifier,
			Trusted:        o.TrustedProxies,
			UsesForwarded:  o.UseForwarded,
			Issuer:         o.Issuer,
			Origins:        o.Origins,
			PassPreflights: o.PassPreflights,
			Audit:          newAuditLog(w.options.AuditLog),
			Log:            ctrl.Log.WithName("endpoints"),
			Metrics:        endpoint.NewMetrics(w.counters.Verifications, w.counters.Durations),
			Now:            time.Now,
		},
		InFlight:  server.NewInFlight(o.MaxInFlight, w.counters.Overload.WithLabelValues("requests").Inc),
		Records:   w.store,
		Audiences: o.Audiences,

		LoginCredentialsInURL: o.LoginCredentialsInURL,
	}
	endpoints.Logins = w.newLogins(endpoints.Audit)
	endpoints.Management = w.newManagement()
	endpoints.Budget = endpoint.NewBudget(endpoint.BudgetOptions{})
	endpoints.OnLoginResult = func(protocol, result string) { w.counters.Logins.WithLabelValues(protocol, result).Inc() }
	return endpoints
}

// newLogins returns the service of logins.
func (w *endpointWiring) newLogins(to *audit.Log) *login.Service {
	return login.NewService(login.Options{
		Directory:           w.Directory,
		Records:             w.store,
		OnEnded:             w.verifier.End,
		MaxConcurrentChecks: cmp.Or(w.options.Endpoints.PasswordChecks, min(runtime.GOMAXPROCS(0), defaultPasswordChecks)),
		Entropy:             rand.Reader,
		Now:                 time.Now,
		OnReplayed: func(u login.User, of record.Record, source netip.Addr) {
			to.Write(audit.Line{
				Event: audit.LoginReplayed, User: u.Name, Client: of.Client, Token: of.Name(), Source: source,
			})
			directory.PublishReplayEvent(w.Manager.GetEventRecorder(eventSource), u)
		},
	})
}

// newManagement returns the service behind the management API.
func (w *endpointWiring) newManagement() *management.Service {
	return &management.Service{
		Client:     w.Manager.GetClient(),
		Live:       w.Manager.GetAPIReader(),
		Records:    w.store,
		Quota:      w.Quota,
		Namespace:  w.options.Namespace,
		Now:        time.Now,
		Entropy:    rand.Reader,
		Ended:      w.verifier.End,
		WasUsed:    w.verifier.WasAccepted,
		LastOutage: w.lastOutage,
		Events:     w.Manager.GetEventRecorder(eventSource),
	}
}

// newUsageWriter returns the writer of last uses.
func (w *endpointWiring) newUsageWriter() *directory.UsageWriter {
	return &directory.UsageWriter{
		Index: w.Index, Records: w.store, PerSecond: w.options.Endpoints.UseWritesPerSecond, Now: time.Now, EndpointsClosed: w.closed,
	}
}

// addMetrics adds /metrics to the manager.
func (w *endpointWiring) addMetrics(ctx context.Context, certificate *tls.Config) error {
	if w.options.MetricsAddress == "0" {
		return nil
	}
	s, err := metrics.NewServer(ctx, metrics.ServerOptions{
		Address:     w.options.MetricsAddress,
		Gatherer:    w.Metrics(),
		IsSecure:    w.options.SecureMetrics(),
		Certificate: certificate,
		APIServer:   w.Manager.GetConfig(),
		HTTPClient:  w.Manager.GetHTTPClient(),
	})
	if err != nil {
		return err
	}
	w.MetricsAddr = s.Listener.Addr()
	return w.Manager.Add(s)
}

// addProbes adds /healthz and /readyz to the manager.
func (w *endpointWiring) addProbes(ctx context.Context, beats *health.Heartbeat) error {
	s, err := health.NewServer(ctx, w.options.HealthAddress, &health.Probes{Checks: w.readinessChecks, LastContact: beats.LastContact})
	if err != nil || s == nil {
		return err
	}
	return w.Manager.Add(s)
}

// auditSummaries writes the summaries of the audit log, on every replica, until the endpoints are
// closed and cause no more lines.
type auditSummaries struct {
	auditLog *audit.Log
	closed   <-chan struct{}
}

// NeedLeaderElection returns false: every replica writes its own audit log.
func (auditSummaries) NeedLeaderElection() bool { return false }

// Start writes summaries until the endpoints are closed.
func (s auditSummaries) Start(context.Context) error {
	s.auditLog.WriteSummaries(s.closed)
	return nil
}
