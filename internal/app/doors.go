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

	"github.com/apptoken/operator/controllers"
	"github.com/apptoken/operator/internal/audit"
	"github.com/apptoken/operator/internal/freshness"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/server"
	"github.com/apptoken/operator/internal/verify"
)

// defaultChecks is the default for the number of passwords checked at once, on machines with at
// least as many processors. The memory that checks need does not grow with the processors.
const defaultChecks = 4

// openDoors adds to the manager the parts that verify, on every replica: the listeners, the writer
// of last uses, and the heartbeat that checks the API server.
func (op *Operator) openDoors(ctx context.Context, store *record.Kube, o Options) error {
	d := o.Doors
	m := newDoorMetrics()
	verifier := verify.NewVerifier(op.Index, store, verify.Options{
		Reads: d.Lookups, Oldest: d.MaxStaleness, Now: time.Now,
		Lookups: func(l verify.Lookup) { m.lookups.WithLabelValues(string(l)).Inc() },
	})
	closed := make(chan struct{})
	beats := &heartbeat{
		live: op.Manager.GetAPIReader(), namespace: o.Namespace, complete: op.complete, verifier: verifier, watches: op.watches,
		limits: freshness.LimitsOf(d.MaxStaleness), log: ctrl.Log.WithName("freshness"), now: time.Now, closed: closed,
	}
	op.lastOutage = beats.lastOutage
	if err := op.register(append(m.collectors(), beats)...); err != nil {
		return err
	}
	doors := &server.Doors{
		InFlight: server.NewInFlight(d.MaxInFlight, m.overload.WithLabelValues("requests").Inc), Verifier: verifier, Records: store, Trusted: d.TrustedProxies, Forwarded: d.Forwarded, Audiences: d.Audiences, Issuer: d.Issuer,
		Audit: NewAuditLog(o.AuditLog), Log: ctrl.Log.WithName("endpoints"), Metrics: server.NewMetrics(m.answers, m.durations), Now: time.Now,
	}
	doors.Logins = login.NewService(login.Options{
		Directory: op.People, Records: store, Ended: verifier.End, Checks: cmp.Or(d.PasswordChecks, min(runtime.GOMAXPROCS(0), defaultChecks)), Entropy: rand.Reader, Now: time.Now,
		Replayed: func(u login.User, of record.Record, source netip.Addr) {
			doors.Audit.Write(audit.Line{
				Event: audit.LoginReplayed, User: u.Name, Client: of.Client, Token: of.Name(), Source: source,
			})
			controllers.TellReplay(op.Manager.GetEventRecorder("apptoken-operator"), u)
		},
	})
	doors.Desk = &controllers.Desk{
		Client: op.Manager.GetClient(), Live: op.Manager.GetAPIReader(), Records: store, Quota: op.Quota, Namespace: o.Namespace,
		Now: time.Now, Entropy: rand.Reader, Ended: verifier.End, Used: verifier.Seen, LastOutage: beats.lastOutage,
		Events: op.Manager.GetEventRecorder("apptoken-operator"),
	}
	doors.Budget = server.NewBudget(server.BudgetOptions{})
	doors.Counted = func(protocol, result string) { m.logins.WithLabelValues(protocol, result).Inc() }
	t, err := op.tlsConfigs(doors, o)
	if err != nil {
		return err
	}
	if op.Doors, err = op.listeners(ctx, doors, o, t, m.overload.WithLabelValues("connections").Inc); err != nil {
		return err
	}
	op.ready[apiServerCheck] = beats.ready
	for name, l := range op.Doors {
		op.ready[name] = l.Ready
	}
	return errors.Join(
		op.Manager.Add(&serving{op.Doors, closed}),
		op.Manager.Add(summaries{doors.Audit, closed}),
		op.serveMetrics(ctx, o, t.all),
		op.serveProbes(ctx, o.HealthAddress, &probes{op.ready, beats.lastContact}),
		op.Manager.Add(beats),
		op.Manager.Add(&controllers.Uses{Index: op.Index, Records: store, PerSecond: d.UseWrites, Now: time.Now, Closed: closed}),
	)
}

// summaries writes the summaries of the audit log, on every replica, until the endpoints are closed
// and cause no more lines.
type summaries struct {
	of     *audit.Log
	closed <-chan struct{}
}

// NeedLeaderElection returns false: every replica writes its own audit log.
func (summaries) NeedLeaderElection() bool { return false }

// Start writes summaries until the endpoints are closed.
func (s summaries) Start(context.Context) error {
	s.of.WriteSummaries(s.closed)
	return nil
}

// listeners returns a listener for each address that is set, keyed by flag. Each is bound already:
// a port that is taken ends the operator before it has done anything.
func (op *Operator) listeners(ctx context.Context, doors *server.Doors, o Options, t tlsConfigs, refused func()) (map[string]*server.Listener, error) {
	open := o.Doors.open()
	all := map[string]*server.Listener{}
	for _, name := range slices.Sorted(maps.Keys(open)) {
		l := &server.Listener{
			Address: open[name], TLS: t.all, Linger: o.Doors.Linger, Log: ctrl.Log.WithName("endpoints"),
			MaxConnections: o.Doors.MaxConnections, Trusted: o.Doors.TrustedProxies, Refused: refused,
		}
		switch name {
		case "webhook-bind-address":
			l.Handler, l.TLS = doors.WebhookHandler(), t.callers
		case "grpc-bind-address":
			l.GRPC, l.TLS = doors.GRPC(), t.callers
		default:
			l.Handler = doors.Handler()
		}
		if err := l.Listen(ctx); err != nil {
			closeAll(all)
			return nil, fmt.Errorf("--%s=%s: %w", name, open[name], err)
		}
		all[name] = l
	}
	return all, nil
}

// closeAll closes the listeners of an operator that does not start.
func closeAll(all map[string]*server.Listener) {
	for _, l := range all {
		_ = l.Close() //nolint:errcheck // the caller reports another error
	}
}

// tlsConfigs holds the TLS configurations of the listeners; nil: plain HTTP.
type tlsConfigs struct {
	all     *tls.Config
	callers *tls.Config // of the listeners that may require a certificate from their clients
}

// tlsConfigs loads the certificates and returns the configurations.
func (op *Operator) tlsConfigs(doors *server.Doors, o Options) (tlsConfigs, error) {
	if o.Doors.CertFile == "" || len(o.Doors.open()) == 0 && !o.secureMetrics() {
		return tlsConfigs{}, nil
	}
	c, err := op.certify(o)
	if err != nil {
		return tlsConfigs{}, err
	}
	doors.IsOwnName = c.isFor
	all := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get}
	if o.Doors.ClientCAFile == "" {
		return tlsConfigs{all, all}, nil
	}
	cas, err := newClientCAs(o.Doors.ClientCAFile, ctrl.Log.WithName("certificates"))
	if err != nil {
		return tlsConfigs{}, err
	}
	return tlsConfigs{all, cas.require(all)}, nil
}

// serving runs all listeners.
type serving struct {
	doors  map[string]*server.Listener
	closed chan struct{} // closed when the last listener has ended
}

// NeedLeaderElection returns false: every replica serves.
func (*serving) NeedLeaderElection() bool { return false }

// Start serves until ctx ends and every request that was begun is answered. If one listener ends by
// itself, the others end too.
func (s *serving) Start(ctx context.Context) error {
	defer close(s.closed)
	group, together := errgroup.WithContext(ctx)
	for _, l := range s.doors {
		group.Go(func() error { return l.Start(together) })
	}
	err := group.Wait()
	if err == nil {
		<-ctx.Done() // with no listener, group.Wait returns at once
	}
	return err
}
