package certificates

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

var (
	// errNoCertificate reports that no certificate has been loaded: the files do not exist yet, or
	// the certificate in them had expired at the start.
	errNoCertificate = errors.New("no certificate has been loaded yet")
	// errExpired reports that the certificate in the files has expired.
	errExpired = errors.New("the certificate has expired")
)

// certificates holds the certificate of the endpoints. It is loaded from files, and again whenever
// these change.
type certificates struct {
	certFile, keyFile string
	log               logr.Logger
	watcher           atomic.Pointer[certwatcher.CertWatcher]
}

// NeedLeaderElection returns false: every replica serves.
func (*certificates) NeedLeaderElection() bool { return false }

// Start loads the files and reloads them whenever they change, until ctx ends.
func (c *certificates) Start(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for waited := false; ; waited = true {
		err := c.load()
		if err == nil {
			return c.watcher.Load().Start(ctx)
		}
		if !waited {
			c.log.Info("waiting for the certificate of the endpoints", "file", c.certFile, "error", err.Error())
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// load loads the files unless they have been loaded.
func (c *certificates) load() error {
	if c.watcher.Load() != nil {
		return nil
	}
	w, err := certwatcher.New(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("--tls-cert-file=%s, --tls-private-key-file=%s: %w", c.certFile, c.keyFile, err)
	}
	cert, err := w.GetCertificate(nil)
	if err != nil {
		return fmt.Errorf("--tls-cert-file=%s: %w", c.certFile, err)
	}
	if end := cert.Leaf.NotAfter; !time.Now().Before(end) {
		return fmt.Errorf("--tls-cert-file=%s: %w, at %s: renew it", c.certFile, errExpired, end.UTC().Format(time.RFC3339))
	}
	c.watcher.Store(w)
	return nil
}

// get implements tls.Config.GetCertificate.
func (c *certificates) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if w := c.watcher.Load(); w != nil {
		return w.GetCertificate(hello)
	}
	return nil, errNoCertificate
}

// hasHost reports whether the certificate names host exactly. A wildcard name does not count: it
// covers many names, and makes none of them a name of the operator.
func (c *certificates) hasHost(host string) bool {
	cert, err := c.get(nil)
	if err != nil {
		return false
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return slices.ContainsFunc(cert.Leaf.IPAddresses, func(own net.IP) bool { return own.Equal(ip.AsSlice()) })
	}
	return slices.ContainsFunc(cert.Leaf.DNSNames, func(own string) bool {
		return !strings.HasPrefix(own, "*") && strings.EqualFold(own, host)
	})
}

// ready returns an error as long as no certificate has been loaded, so that no client could be
// served.
func (c *certificates) ready() error {
	if c.watcher.Load() == nil {
		return errNoCertificate
	}
	return nil
}

// addCertificates makes the endpoints serve the certificate that the options name. If the operator
// manages that certificate, the elected replica creates and renews it in the Secret. From there the
// kubelet copies it into the files of every replica.
func (op *Operator) addCertificates(o Options) (*certificates, error) {
	d := o.Endpoints
	c := &certificates{certFile: d.CertFile, keyFile: d.KeyFile, log: ctrl.Log.WithName("certificates")}
	if err := c.load(); err != nil && (d.CertSecret == "" || !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errExpired)) {
		return nil, err // unless the operator is about to create the certificate
	}
	if d.CertSecret != "" {
		mgr := op.Manager
		direct, err := client.New(mgr.GetConfig(), client.Options{Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper(), HTTPClient: mgr.GetHTTPClient()})
		if err != nil {
			return nil, fmt.Errorf("create the client for the certificate of the endpoints: %w", err)
		}
		secret := newCertificateSecret(direct, o, time.Now)
		op.reconcilerSetups = append(op.reconcilerSetups, func(t *term) error { return secret.SetupWithManager(t, t.cacheView(op.passwordCache)) })
	}
	op.readinessChecks["certificate"] = c.ready
	return c, op.Manager.Add(c)
}
