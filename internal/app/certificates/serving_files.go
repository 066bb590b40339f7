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
	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
)

var (
	// errNoCertificate reports that no certificate has been loaded: the files do not exist yet, or
	// the certificate in them had expired at the start.
	errNoCertificate = errors.New("no certificate has been loaded yet")
	// errExpired reports that the certificate in the files has expired.
	errExpired = errors.New("the certificate has expired")
)

// Serving is the certificate of the endpoints. It is loaded from files, and again whenever these
// change.
type Serving struct {
	// CertFile and KeyFile hold the certificate chain and the private key, in PEM.
	CertFile, KeyFile string
	Log               logr.Logger

	watcher atomic.Pointer[certwatcher.CertWatcher]
}

// IsPending reports whether an error of Load ends once there are new files: they do not exist yet,
// or hold a certificate that has expired.
func IsPending(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, errExpired)
}

// NeedLeaderElection returns false: every replica serves.
func (*Serving) NeedLeaderElection() bool { return false }

// Start loads the files and reloads them whenever they change, until ctx ends.
func (s *Serving) Start(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for waited := false; ; waited = true {
		err := s.Load()
		if err == nil {
			return s.watcher.Load().Start(ctx)
		}
		if !waited {
			s.Log.Info("waiting for the certificate of the endpoints", "file", s.CertFile, "error", err.Error())
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Load loads the files unless they have been loaded. See IsPending for the errors that end once
// there are new files.
func (s *Serving) Load() error {
	if s.watcher.Load() != nil {
		return nil
	}
	w, err := certwatcher.New(s.CertFile, s.KeyFile)
	if err != nil {
		return fmt.Errorf("--tls-cert-file=%s, --tls-private-key-file=%s: %w", s.CertFile, s.KeyFile, err)
	}
	cert, err := w.GetCertificate(nil)
	if err != nil {
		return fmt.Errorf("--tls-cert-file=%s: %w", s.CertFile, err)
	}
	if end := cert.Leaf.NotAfter; !time.Now().Before(end) {
		return fmt.Errorf("--tls-cert-file=%s: %w, at %s: renew it", s.CertFile, errExpired, end.UTC().Format(time.RFC3339))
	}
	s.watcher.Store(w)
	return nil
}

// Get implements tls.Config.GetCertificate.
func (s *Serving) Get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if w := s.watcher.Load(); w != nil {
		return w.GetCertificate(hello)
	}
	return nil, errNoCertificate
}

// HasHost reports whether the certificate names host exactly. A wildcard name does not count: it
// covers many names, and makes none of them a name of the operator.
func (s *Serving) HasHost(host string) bool {
	cert, err := s.Get(nil)
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

// Ready returns an error as long as no certificate has been loaded, so that no client could be
// served.
func (s *Serving) Ready() error {
	if s.watcher.Load() == nil {
		return errNoCertificate
	}
	return nil
}
