package app

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/controllers"
	"github.com/apptoken/operator/internal/audit"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/server"
	"github.com/apptoken/operator/internal/verify"
)

// defaultChecks is how many passwords are checked at once on a machine with more processors: what they take in memory does
// not follow from that.
const defaultChecks = 4

// openDoors adds to the manager what verifies, on every replica: the listeners, the writing of last uses, and the look at
// whether the API server is there.
func (op *Operator) openDoors(ctx context.Context, store *record.Kube, o Options) error {
	d := o.Doors
	var verifier *verify.Verifier
	m := newDoorMetrics(func() float64 {
		silence, _ := verifier.Silence()
		return silence.Seconds()
	})
	verifier = verify.NewVerifier(op.Index, store, verify.Options{
		Reads: d.Lookups, Oldest: d.MaxStaleness, Now: time.Now,
		Lookups: func(l verify.Lookup) { m.lookups.WithLabelValues(string(l)).Inc() },
	})
	if err := register(m.collectors()...); err != nil {
		return err
	}
	doors := &server.Doors{
		Verifier: verifier, Records: store, Trusted: d.TrustedProxies, Audiences: d.Audiences, Issuer: d.Issuer,
		Audit: NewAuditLog(o.AuditLog), Log: ctrl.Log.WithName("doors"), Metrics: server.NewMetrics(m.answers, m.durations), Now: time.Now,
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
		Now: time.Now, Entropy: rand.Reader, Ended: verifier.End, Used: verifier.Seen,
	}
	doors.Counted = func(protocol, result string) { m.logins.WithLabelValues(protocol, result).Inc() }
	var certificate *tls.Config // nil: none is set
	if d.CertFile != "" && (len(d.open()) > 0 || o.secureMetrics()) {
		var err error
		if certificate, err = op.certify(o); err != nil {
			return err
		}
	}
	op.Doors = op.listeners(doors, o, certificate)
	op.ready["store"] = func() error {
		if !verifier.Open() {
			return errors.New("the doors are closed until something is heard of the API server")
		}
		return nil
	}
	for name, l := range op.Doors {
		op.ready[name] = l.Ready
	}
	closed := make(chan struct{})
	return errors.Join(
		op.Manager.Add(&serving{op.Doors, closed}),
		op.Manager.Add(summaries{doors.Audit, closed}),
		op.serveMetrics(ctx, o, certificate),
		op.serveProbes(ctx, o.HealthAddress, &probes{op.ready, func() string { return heard(verifier) }}),
		op.Manager.Add(&heartbeat{op.Manager.GetAPIReader(), o.Namespace, op.complete, verifier, closed}),
		op.Manager.Add(&controllers.Uses{Index: op.Index, Records: store, PerSecond: d.UseWrites, Now: time.Now, Closed: closed}),
	)
}

// summaries are those of the audit log, on every replica, until no endpoint brings about a line any more.
type summaries struct {
	of     *audit.Log
	closed <-chan struct{}
}

// NeedLeaderElection reports that every replica writes its own audit log.
func (summaries) NeedLeaderElection() bool { return false }

// Start writes summaries until the endpoints are closed.
func (s summaries) Start(context.Context) error {
	s.of.WriteSummaries(s.closed)
	return nil
}

// heard says since when nothing was heard of the API server.
func heard(v *verify.Verifier) string {
	silence, ever := v.Silence()
	if !ever {
		return "the API server was not heard of yet"
	}
	return fmt.Sprintf("the API server was heard of %s ago", silence.Truncate(time.Second))
}

// listeners are those whose addresses are set, by the names of their flags.
func (op *Operator) listeners(doors *server.Doors, o Options, certificate *tls.Config) map[string]*server.Listener {
	all := map[string]*server.Listener{}
	for name, address := range o.Doors.open() {
		l := &server.Listener{Address: address, TLS: certificate, Linger: o.Doors.Linger, Log: ctrl.Log.WithName("doors")}
		switch name {
		case "webhook-bind-address":
			l.Handler = doors.WebhookHandler()
		case "grpc-bind-address":
			l.GRPC = doors.GRPC()
		default:
			l.Handler = doors.Handler()
		}
		all[name] = l
	}
	return all
}

// serving is all listeners.
type serving struct {
	doors  map[string]*server.Listener
	closed chan struct{} // when the last of them has ended
}

// NeedLeaderElection says that every replica serves.
func (*serving) NeedLeaderElection() bool { return false }

// Start serves until ctx ends and what was begun is answered. If one listener ends by itself, the others end too.
func (s *serving) Start(ctx context.Context) error {
	defer close(s.closed)
	group, together := errgroup.WithContext(ctx)
	for _, l := range s.doors {
		group.Go(func() error { return l.Start(together) })
	}
	err := group.Wait()
	if err == nil {
		<-ctx.Done() // where no door is open, there was nothing to wait for
	}
	return err
}

// heartbeat asks every so often whether the API server is there, once the index is complete.
type heartbeat struct {
	live      client.Reader
	namespace string
	complete  check
	verifier  *verify.Verifier
	closed    <-chan struct{} // the doors: while they are open, somebody relies on it
}

const heartbeatEvery = 2 * time.Second

// NeedLeaderElection says that every replica listens for itself.
func (*heartbeat) NeedLeaderElection() bool { return false }

// Start asks until ctx ends and the doors are closed.
func (h *heartbeat) Start(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	every := heartbeatEvery / 100 // at first, since nothing is good until the index is complete
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if h.complete() == nil && h.beat(ctx) {
			h.verifier.Heard()
			if every != heartbeatEvery {
				every = heartbeatEvery
				tick.Reset(every)
			}
		}
		select {
		case <-h.closed:
			return nil
		case <-tick.C:
		}
	}
}

// beat reads what the index is made of, from the API server and not from a cache.
func (h *heartbeat) beat(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, heartbeatEvery)
	defer cancel()
	var records v1alpha1.TokenRecordList
	return h.live.List(ctx, &records, client.InNamespace(h.namespace), client.Limit(1)) == nil
}
