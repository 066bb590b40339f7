package app

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	ctrl "sigs.k8s.io/controller-runtime"

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

// addEndpoints adds to the manager the parts that verify, on every replica: the listeners, the
// writer of last uses, and the heartbeat that checks the API server.
func (op *Operator) addEndpoints(ctx context.Context, store *kube.Store, o Options) error {
	d := o.Endpoints
	m := newEndpointMetrics()
	verifier := verify.NewVerifier(op.Index, store, verify.Options{
		LookupsPerSecond: d.LookupsPerSecond, MaxStaleness: d.MaxStaleness, Now: time.Now,
		OnLookup: func(l verify.Lookup) { m.lookups.WithLabelValues(string(l)).Inc() },
	})
	closed := make(chan struct{})
	beats := &heartbeat{
		live: op.Manager.GetAPIReader(), namespace: o.Namespace, checkIndex: op.checkIndex, verifier: verifier, watches: op.watches,
		limits: freshness.LimitsOf(d.MaxStaleness), log: ctrl.Log.WithName("freshness"), now: time.Now, endpointsClosed: closed,
	}
	op.lastOutage = beats.lastOutage
	if err := op.register(append(m.collectors(), beats)...); err != nil {
		return err
	}
	endpoints := &server.Endpoints{
		Base: endpoint.Base{
			Verifier:      verifier,
			Trusted:       d.TrustedProxies,
			UsesForwarded: d.UseForwarded,
			Issuer:        d.Issuer,
			Audit:         NewAuditLog(o.AuditLog),
			Log:           ctrl.Log.WithName("endpoints"),
			Metrics:       endpoint.NewMetrics(m.answers, m.durations),
			Now:           time.Now,
		},
		InFlight:  server.NewInFlight(d.MaxInFlight, m.overload.WithLabelValues("requests").Inc),
		Records:   store,
		Audiences: d.Audiences,
	}
	endpoints.Logins = login.NewService(login.Options{
		Directory: op.Directory, Records: store, OnEnded: verifier.End, MaxConcurrentChecks: cmp.Or(d.PasswordChecks, min(runtime.GOMAXPROCS(0), defaultPasswordChecks)), Entropy: rand.Reader, Now: time.Now,
		OnReplayed: func(u login.User, of record.Record, source netip.Addr) {
			endpoints.Audit.Write(audit.Line{
				Event: audit.LoginReplayed, User: u.Name, Client: of.Client, Token: of.Name(), Source: source,
			})
			directory.PublishReplayEvent(op.Manager.GetEventRecorder("apptoken-operator"), u)
		},
	})
	endpoints.Management = &management.Service{
		Client: op.Manager.GetClient(), Live: op.Manager.GetAPIReader(), Records: store, Quota: op.Quota, Namespace: o.Namespace,
		Now: time.Now, Entropy: rand.Reader, Ended: verifier.End, WasUsed: verifier.WasAccepted, LastOutage: beats.lastOutage,
		Events: op.Manager.GetEventRecorder("apptoken-operator"),
	}
	endpoints.Budget = endpoint.NewBudget(endpoint.BudgetOptions{})
	endpoints.OnLoginResult = func(protocol, result string) { m.logins.WithLabelValues(protocol, result).Inc() }
	t, err := op.newTLSConfigs(endpoints, o)
	if err != nil {
		return err
	}
	if op.Listeners, err = op.newListeners(ctx, endpoints, o, t, m.overload.WithLabelValues("connections").Inc); err != nil {
		return err
	}
	op.readinessChecks[apiServerCheck] = beats.ready
	for name, l := range op.Listeners {
		op.readinessChecks[name] = l.Ready
	}
	return errors.Join(
		op.Manager.Add(&listenerGroup{op.Listeners, closed}),
		op.Manager.Add(auditSummaries{endpoints.Audit, closed}),
		op.serveMetrics(ctx, o, t.server),
		op.serveProbes(ctx, o.HealthAddress, &probes{op.readinessChecks, beats.lastContact}),
		op.Manager.Add(beats),
		op.Manager.Add(&directory.UsageWriter{Index: op.Index, Records: store, PerSecond: d.UseWritesPerSecond, Now: time.Now, EndpointsClosed: closed}),
	)
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

// newListeners returns a listener for each address that is set, keyed by flag. Each is bound
// already: a port that is taken ends the operator before it has done anything.
func (op *Operator) newListeners(ctx context.Context, endpoints *server.Endpoints, o Options, t tlsConfigs, refused func()) (map[string]*server.Listener, error) {
	open := o.Endpoints.addresses()
	all := map[string]*server.Listener{}
	for _, name := range slices.Sorted(maps.Keys(open)) {
		l := &server.Listener{
			Address: open[name], TLS: t.server, ShutdownDelay: o.Endpoints.ShutdownDelay, Log: ctrl.Log.WithName("endpoints"),
			MaxConnections: o.Endpoints.MaxConnections, Trusted: o.Endpoints.TrustedProxies, OnRefused: refused,
		}
		switch name {
		case "webhook-bind-address":
			l.Handler, l.TLS = endpoints.WebhookHandler(), t.clientAuth
		case "grpc-bind-address":
			l.GRPC, l.TLS = endpoints.GRPC(), t.clientAuth
		default:
			l.Handler = endpoints.Handler()
		}
		if err := l.Listen(ctx); err != nil {
			closeListeners(all)
			return nil, fmt.Errorf("--%s=%s: %w", name, open[name], err)
		}
		all[name] = l
	}
	return all, nil
}

// closeListeners closes the listeners of an operator that does not start.
func closeListeners(all map[string]*server.Listener) {
	for _, l := range all {
		_ = l.Close() //nolint:errcheck // the caller reports another error
	}
}

// tlsConfigs holds the TLS configurations of the listeners; nil: plain HTTP.
type tlsConfigs struct {
	server     *tls.Config
	clientAuth *tls.Config // of the listeners that may require a certificate from their clients
}

// newTLSConfigs loads the certificates and returns the configurations.
func (op *Operator) newTLSConfigs(endpoints *server.Endpoints, o Options) (tlsConfigs, error) {
	if o.Endpoints.CertFile == "" || len(o.Endpoints.addresses()) == 0 && !o.secureMetrics() {
		return tlsConfigs{}, nil
	}
	c, err := op.addCertificates(o)
	if err != nil {
		return tlsConfigs{}, err
	}
	endpoints.IsOwnName = c.hasHost
	all := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get}
	if o.Endpoints.ClientCAFile == "" {
		return tlsConfigs{all, all}, nil
	}
	cas, err := newClientCAs(o.Endpoints.ClientCAFile, ctrl.Log.WithName("certificates"))
	if err != nil {
		return tlsConfigs{}, err
	}
	return tlsConfigs{all, cas.require(all)}, nil
}

// listenerGroup runs all listeners.
type listenerGroup struct {
	listeners map[string]*server.Listener
	closed    chan struct{} // closed when the last listener has ended
}

// NeedLeaderElection returns false: every replica serves.
func (*listenerGroup) NeedLeaderElection() bool { return false }

// Start serves until ctx ends and every request that was begun is answered. If one listener ends by
// itself, the others end too.
func (s *listenerGroup) Start(ctx context.Context) error {
	defer close(s.closed)
	group, together := errgroup.WithContext(ctx)
	for _, l := range s.listeners {
		group.Go(func() error { return l.Start(together) })
	}
	err := group.Wait()
	if err == nil {
		<-ctx.Done() // with no listener, group.Wait returns at once
	}
	return err
}
