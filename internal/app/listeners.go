package app

import (
	"context"
	"crypto/tls"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/internal/app/certificates"
	"github.com/apptoken/operator/internal/app/leaderelection"
	"github.com/apptoken/operator/internal/server"
)

// newListeners returns a listener for each address that is set, keyed by flag. Each is bound
// already: a port that is taken ends the operator before it has done anything.
func (w *endpointWiring) newListeners(ctx context.Context, endpoints *server.Endpoints, t tlsConfigs) (map[string]*server.Listener, error) {
	o := w.options.Endpoints
	open := o.Addresses()
	all := map[string]*server.Listener{}
	for _, name := range slices.Sorted(maps.Keys(open)) {
		l := &server.Listener{
			Address: open[name], TLS: t.server, ShutdownDelay: o.ShutdownDelay, Log: ctrl.Log.WithName("endpoints"),
			MaxConnections: o.MaxConnections, Trusted: o.TrustedProxies, OnRefused: w.counters.Overload.WithLabelValues("connections").Inc,
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
func (w *endpointWiring) newTLSConfigs(endpoints *server.Endpoints) (tlsConfigs, error) {
	o := w.options.Endpoints
	if o.CertFile == "" || len(o.Addresses()) == 0 && !w.options.SecureMetrics() {
		return tlsConfigs{}, nil
	}
	c, err := w.addCertificate()
	if err != nil {
		return tlsConfigs{}, err
	}
	endpoints.IsOwnName = c.HasHost
	all := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.Get}
	if o.ClientCAFile == "" {
		return tlsConfigs{all, all}, nil
	}
	cas, err := certificates.NewClientCAs(o.ClientCAFile, ctrl.Log.WithName("certificates"))
	if err != nil {
		return tlsConfigs{}, err
	}
	return tlsConfigs{all, cas.Require(all)}, nil
}

// addCertificate makes the endpoints serve the certificate that the options name. If the operator
// manages that certificate, the elected replica creates and renews it in the Secret. From there the
// kubelet copies it into the files of every replica.
func (w *endpointWiring) addCertificate() (*certificates.Serving, error) {
	o := w.options.Endpoints
	c := &certificates.Serving{CertFile: o.CertFile, KeyFile: o.KeyFile, Log: ctrl.Log.WithName("certificates")}
	if err := c.Load(); err != nil && (o.CertSecret == "" || !certificates.IsPending(err)) {
		return nil, err // unless the operator is about to create the certificate
	}
	if o.CertSecret != "" {
		if err := w.addCertificateSecret(); err != nil {
			return nil, err
		}
	}
	w.readinessChecks["certificate"] = c.Ready
	return c, w.Manager.Add(c)
}

// addCertificateSecret adds the reconciler of the Secret with the certificate to each term.
func (w *endpointWiring) addCertificateSecret() error {
	o, mgr := w.options.Endpoints, w.Manager
	direct, err := client.New(mgr.GetConfig(), client.Options{Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper(), HTTPClient: mgr.GetHTTPClient()})
	if err != nil {
		return fmt.Errorf("create the client for the certificate of the endpoints: %w", err)
	}
	secret := certificates.NewSecretReconciler(direct, certificates.SecretOptions{
		Key:      types.NamespacedName{Namespace: w.options.Namespace, Name: o.CertSecret},
		CertFile: o.CertFile, KeyFile: o.KeyFile, DNSNames: o.CertificateNames(w.options.Namespace), Now: time.Now,
	})
	w.reconcilerSetups = append(w.reconcilerSetups, func(t *leaderelection.Term) error {
		return secret.SetupWithManager(t, t.CacheView(w.passwordCache))
	})
	return nil
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
