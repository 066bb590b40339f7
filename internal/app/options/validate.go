package options

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/apptoken/operator/internal/app/logging"
)

// Limits of the options.
const (
	minStaleness     = 5 * time.Second // other than 0
	maxShutdownDelay = time.Minute
	maxWorkers       = 1024
	maxEndpointLimit = 10000 // of each limit of the endpoints
)

// validate returns an error with a line for each invalid flag.
func (o Options) validate() error {
	return errors.Join(
		o.validateAddresses(),
		o.validateNamespaces(),
		o.validateWorkers(),
		o.validateLogLevel(),
		o.Endpoints.validate(),
	)
}

// validateAddresses validates the form of --metrics-bind-address and the other addresses.
func (o Options) validateAddresses() error {
	var errs []error
	for _, a := range []struct{ flag, address string }{
		{"metrics-bind-address", o.MetricsAddress},
		{"health-probe-bind-address", o.HealthAddress},
		{"bind-address", o.Endpoints.Address},
		{"webhook-bind-address", o.Endpoints.WebhookAddress},
		{"grpc-bind-address", o.Endpoints.GRPCAddress},
	} {
		if _, _, err := net.SplitHostPort(a.address); a.address != "0" && err != nil {
			errs = append(errs, fmt.Errorf("--%s=%q: use host:port or :port, or 0 for none", a.flag, a.address))
		}
	}
	return errors.Join(errs...)
}

// validateNamespaces validates --namespace and --namespaces.
func (o Options) validateNamespaces() error {
	errs := []error{validateNamespace("namespace", o.Namespace)}
	for _, name := range o.Namespaces {
		errs = append(errs, validateNamespace("namespaces", name))
	}
	return errors.Join(errs...)
}

func validateNamespace(flag, name string) error {
	if len(validation.IsDNS1123Label(name)) > 0 {
		return fmt.Errorf("--%s: %q is not a valid namespace name: use at most 63 lower-case letters, digits and hyphens, with a letter or digit first and last", flag, name)
	}
	return nil
}

// validateWorkers validates --workers.
func (o Options) validateWorkers() error {
	if o.Workers < 1 || o.Workers > maxWorkers {
		return fmt.Errorf("--workers=%d: use a number from 1 to %d", o.Workers, maxWorkers)
	}
	return nil
}

// validateLogLevel validates --log-level.
func (o Options) validateLogLevel() error {
	if !logging.IsLevel(o.LogLevel) {
		return fmt.Errorf("--log-level=%q: use error, info or debug", o.LogLevel)
	}
	return nil
}

// validate returns an error with a line for each invalid flag of the endpoints.
func (e Endpoints) validate() error {
	return errors.Join(
		e.validatePlainHTTP(),
		e.validateCertificate(),
		e.validateCertSecret(),
		e.validateClientCA(),
		e.validateIssuer(),
		e.validatePreflights(),
		e.validateDurations(),
		e.validateLimits(),
	)
}

// validatePlainHTTP validates --plain-http with the addresses of the endpoints.
func (e Endpoints) validatePlainHTTP() error {
	if !e.PlainHTTP {
		return nil
	}
	var errs []error
	open := e.Addresses()
	for _, flag := range slices.Sorted(maps.Keys(open)) {
		if _, _, err := net.SplitHostPort(open[flag]); err == nil && !isLoopback(open[flag]) {
			errs = append(errs, fmt.Errorf("--%s=%q: --plain-http is for loopback addresses only, such as 127.0.0.1:8443: elsewhere tokens would cross the network unencrypted", flag, open[flag]))
		}
	}
	return errors.Join(errs...)
}

// validateCertificate validates --tls-cert-file and --tls-private-key-file.
func (e Endpoints) validateCertificate() error {
	switch hasFile := e.CertFile != "" || e.KeyFile != ""; {
	case (e.CertFile == "") != (e.KeyFile == ""):
		return errors.New("--tls-cert-file and --tls-private-key-file must be set together")
	case hasFile && e.PlainHTTP:
		return errors.New("--plain-http and --tls-cert-file cannot be combined: remove one of them")
	case !hasFile && !e.PlainHTTP && len(e.Addresses()) > 0:
		return errors.New("the endpoints need a certificate: set --tls-cert-file and --tls-private-key-file, or --plain-http on loopback addresses")
	}
	return nil
}

// validateCertSecret validates --tls-secret and --tls-dns-names.
func (e Endpoints) validateCertSecret() error {
	var errs []error
	if e.CertSecret != "" && (e.CertFile == "" || filepath.Dir(e.CertFile) != filepath.Dir(e.KeyFile)) {
		errs = append(errs, errors.New("--tls-secret: --tls-cert-file and --tls-private-key-file must name two files in the directory where that Secret is mounted"))
	}
	if e.CertSecret != "" && len(validation.IsDNS1123Subdomain(e.CertSecret)) > 0 {
		errs = append(errs, fmt.Errorf("--tls-secret: %q is not a valid Secret name: use lower-case letters, digits, hyphens and dots", e.CertSecret))
	}
	for _, name := range e.DNSNames {
		errs = append(errs, validateDNSName("tls-dns-names", name))
	}
	return errors.Join(errs...)
}

func validateDNSName(flag, name string) error {
	if len(validation.IsDNS1123Subdomain(strings.TrimPrefix(name, "*."))) > 0 {
		return fmt.Errorf("--%s: %q is not a DNS name: use lower-case letters, digits, hyphens and dots", flag, name)
	}
	return nil
}

// validateClientCA validates --client-ca-file.
func (e Endpoints) validateClientCA() error {
	if e.ClientCAFile != "" && (e.CertFile == "" || e.WebhookAddress == "0" && e.GRPCAddress == "0") {
		return errors.New("--client-ca-file: set --tls-cert-file, and --webhook-bind-address or --grpc-bind-address, or remove it")
	}
	return nil
}

// validateIssuer validates --issuer.
func (e Endpoints) validateIssuer() error {
	if e.Issuer == "" {
		if len(e.TrustedProxies) > 0 && e.Address != "0" && !isLoopback(e.Address) {
			return errors.New("--issuer is required with --trusted-proxies and --bind-address: set it to the URL under which the gateway serves the endpoints, for example https://tokens.example.com")
		}
		return nil
	}
	u, err := url.Parse(e.Issuer)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != "" {
		shown := e.Issuer
		if err == nil {
			shown = u.Redacted()
		}
		return fmt.Errorf("--issuer=%q: use a URL of a scheme and a host alone, for example https://tokens.example.com", shown)
	}
	return nil
}

// validatePreflights validates --verify-pass-preflights.
func (e Endpoints) validatePreflights() error {
	if e.PassPreflights && len(e.TrustedProxies) == 0 {
		return errors.New("--verify-pass-preflights needs --trusted-proxies: name the gateways that overwrite X-Forwarded-Method")
	}
	return nil
}

// validateDurations validates --max-staleness and --shutdown-delay.
func (e Endpoints) validateDurations() error {
	var errs []error
	if e.MaxStaleness != 0 && e.MaxStaleness < minStaleness {
		errs = append(errs, fmt.Errorf("--max-staleness=%s: use 0 for no limit, or at least %s: watches show only every few seconds that they deliver", e.MaxStaleness, minStaleness))
	}
	if e.ShutdownDelay < 0 || e.ShutdownDelay > maxShutdownDelay {
		errs = append(errs, fmt.Errorf("--shutdown-delay=%s: use a duration from 0s to 1m", e.ShutdownDelay))
	}
	return errors.Join(errs...)
}

// validateLimits validates --lookups-per-second and the other limits of the endpoints.
func (e Endpoints) validateLimits() error {
	var errs []error
	for _, n := range []struct {
		flag  string
		value int
	}{
		{"lookups-per-second", e.LookupsPerSecond},
		{"use-writes-per-second", e.UseWritesPerSecond},
		{"password-checks", e.PasswordChecks},
		{"max-connections", e.MaxConnections},
		{"max-requests-in-flight", e.MaxInFlight},
	} {
		if n.value < 0 || n.value > maxEndpointLimit {
			errs = append(errs, fmt.Errorf("--%s=%d: use a number from 0 to %d", n.flag, n.value, maxEndpointLimit))
		}
	}
	return errors.Join(errs...)
}

// isLoopback reports whether an address, as host:port, accepts connections from this host only.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
