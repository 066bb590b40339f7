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

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/apptoken/operator/internal/verify"
)

// minStaleness is the lowest --max-staleness other than 0.
const minStaleness = 5 * time.Second

// EndpointOptions holds the options of the endpoints: where they listen, and how they verify
// credentials.
type EndpointOptions struct {
	Address            string // forward auth, OAuth, logins, management API; host:port, or 0 for none
	WebhookAddress     string // TokenReview
	GRPCAddress        string // ext_authz
	PlainHTTP          bool
	CertFile           string
	KeyFile            string
	CertSecret         string   // in which the operator keeps that certificate; empty: unmanaged
	DNSNames           []string // in the operator's certificate; empty: the name of the Service
	ClientCAFile       string   // CAs of clients of the webhook and ext_authz; empty: none needed
	TrustedProxies     []netip.Prefix
	UseForwarded       bool // proxies name the client in Forwarded, not in X-Forwarded-For
	Audiences          []string
	Issuer             string
	MaxStaleness       time.Duration // 0: verification survives any outage, but no lost watch
	LookupsPerSecond   int           // reads per second of tokens that are not in the index
	UseWritesPerSecond int           // last uses written per second
	MaxConnections     int           // of each listener; 0: no bound
	MaxInFlight        int           // requests in flight; 0: no bound
	PasswordChecks     int           // at once; 0: the number of processors, at most four
	ShutdownDelay      time.Duration // from the signal to stop until no request is accepted
}

// addFlags adds the flags of the endpoints. It returns a function that parses the lists among them,
// for the caller to call once the flags are parsed.
func (d *EndpointOptions) addFlags(fs *pflag.FlagSet) func() error {
	var proxies, audiences, names, header string
	fs.StringVar(&d.Address, "bind-address", "0", "`address` of the HTTP endpoints: verification, OAuth, logins, and the management API with its page at /ui/; 0 for none")
	fs.StringVar(&d.WebhookAddress, "webhook-bind-address", "0", "`address` of /tokenreview, for a kube-apiserver; 0 for none")
	fs.StringVar(&d.GRPCAddress, "grpc-bind-address", "0", "`address` of ext_authz, for Envoy; 0 for none")
	fs.BoolVar(&d.PlainHTTP, "plain-http", false, "serve the endpoints without TLS, only on loopback addresses")
	fs.StringVar(&d.CertFile, "tls-cert-file", "", "`file` with the certificate chain of the endpoints, in PEM; reloaded when it changes")
	fs.StringVar(&d.KeyFile, "tls-private-key-file", "", "`file` with the private key of that certificate, in PEM")
	fs.StringVar(&d.CertSecret, "tls-secret", "", "`name` of a Secret in the operator's own namespace, in which the operator creates and renews that certificate, under a CA of its own; mount it where the two files are. Empty: the operator does not manage the certificate")
	fs.StringVar(&names, "tls-dns-names", "", "comma-separated DNS `names` in a certificate that the operator creates; empty: apptoken-operator.NAMESPACE.svc")
	fs.StringVar(&proxies, "trusted-proxies", "", "comma-separated address `ranges` of the gateways that the operator trusts to report the address of a caller, for example 10.0.0.0/8")
	fs.StringVar(&header, "client-address-header", "X-Forwarded-For", "`name` of the header in which trusted proxies report the address of a caller: X-Forwarded-For or Forwarded (RFC 7239); the other one is ignored")
	fs.StringVar(&audiences, "audiences", "", "comma-separated `names` of the audiences for which tokens are valid in a TokenReview; empty: only those of the API server that sends it")
	fs.StringVar(&d.ClientCAFile, "client-ca-file", "", "`file` with CAs, in PEM; callers of /tokenreview and ext_authz must then present a certificate of one of them; reloaded when it changes. Empty: no certificate is required")
	fs.IntVar(&d.MaxConnections, "max-connections", 4096, "maximum number of connections of each listener; an address that is not a trusted proxy may have at most a quarter of them; 0: no limit")
	fs.IntVar(&d.MaxInFlight, "max-requests-in-flight", 1024, "maximum number of requests in flight, of which a quarter are reserved for verification; 0: no limit")
	fs.StringVar(&d.Issuer, "issuer", "", "`URL` of the endpoints as callers know it, for OAuth metadata. Required with --trusted-proxies, unless --bind-address is on loopback. Empty: the host of the request, if the certificate has its name")
	fs.DurationVar(&d.MaxStaleness, "max-staleness", time.Hour, "how long the endpoints stay open without contact with the API server, at least 5s; 0: no limit. If the API server answers but a watch is lost, they close after that time or a minute, whichever is shorter")
	fs.IntVar(&d.LookupsPerSecond, "lookups-per-second", 50, "maximum number of tokens that are not in the index and are looked up in the API server each second; at most a quarter of them for one source")
	fs.IntVar(&d.UseWritesPerSecond, "use-writes-per-second", 10, "maximum number of last uses that each replica writes to the API server each second")
	fs.IntVar(&d.PasswordChecks, "password-checks", 0, "maximum number of passwords that are checked at once; a hash that needs more than 64 MiB of memory, up to the limit of 256 MiB, counts as several; 0: the number of processors, at most four")
	fs.DurationVar(&d.ShutdownDelay, "shutdown-delay", 5*time.Second, "how long the endpoints accept requests after the signal to stop, until gateways have noticed")
	return func() error {
		d.Audiences, d.DNSNames = splitList(audiences), splitList(names)
		d.UseForwarded = strings.EqualFold(header, "Forwarded")
		if !d.UseForwarded && !strings.EqualFold(header, "X-Forwarded-For") {
			return fmt.Errorf("--client-address-header=%q: use X-Forwarded-For or Forwarded", header)
		}
		for _, text := range splitList(proxies) {
			if _, err := netip.ParsePrefix(text); err != nil {
				return fmt.Errorf("--trusted-proxies: %q is not an address range: use CIDR notation, for example 10.0.0.0/8", text)
			}
			d.TrustedProxies = append(d.TrustedProxies, verify.ParseRanges([]string{text})...)
		}
		return nil
	}
}

// certificateNames returns the DNS names in the certificate of an operator in a namespace.
func (d EndpointOptions) certificateNames(namespace string) []string {
	if len(d.DNSNames) > 0 {
		return d.DNSNames
	}
	return []string{"apptoken-operator." + namespace + ".svc"}
}

// addresses returns the addresses that are set, keyed by flag.
func (d EndpointOptions) addresses() map[string]string {
	all := map[string]string{"bind-address": d.Address, "webhook-bind-address": d.WebhookAddress, "grpc-bind-address": d.GRPCAddress}
	maps.DeleteFunc(all, func(_, address string) bool { return address == "0" })
	return all
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

func (d EndpointOptions) validate() error {
	var errs []error
	open := d.addresses()
	for _, name := range slices.Sorted(maps.Keys(open)) {
		if _, _, err := net.SplitHostPort(open[name]); err == nil && d.PlainHTTP && !isLoopback(open[name]) {
			errs = append(errs, fmt.Errorf("--%s=%q: --plain-http is for loopback addresses only, such as 127.0.0.1:8443: elsewhere tokens would cross the network unencrypted", name, open[name]))
		}
	}
	errs = append(errs, d.validateTLS(len(open) > 0))
	if d.Issuer != "" {
		if u, err := url.Parse(d.Issuer); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.RawQuery != "" || u.Fragment != "" || u.Path != "" {
			errs = append(errs, fmt.Errorf("--issuer=%q: use a URL without a path, for example https://tokens.example.com", d.Issuer))
		}
	}
	if d.Issuer == "" && len(d.TrustedProxies) > 0 && d.Address != "0" && !isLoopback(d.Address) {
		errs = append(errs, errors.New("--issuer is required with --trusted-proxies and --bind-address: set it to the URL under which the gateway serves the endpoints, for example https://tokens.example.com"))
	}
	if d.MaxStaleness != 0 && d.MaxStaleness < minStaleness {
		errs = append(errs, fmt.Errorf("--max-staleness=%s: use 0 for no limit, or at least %s: watches show only every few seconds that they deliver", d.MaxStaleness, minStaleness))
	}
	if d.ShutdownDelay < 0 || d.ShutdownDelay > time.Minute {
		errs = append(errs, fmt.Errorf("--shutdown-delay=%s: use a duration from 0s to 1m", d.ShutdownDelay))
	}
	for _, n := range []struct {
		flag  string
		value int
	}{{"lookups-per-second", d.LookupsPerSecond}, {"use-writes-per-second", d.UseWritesPerSecond}, {"password-checks", d.PasswordChecks}, {"max-connections", d.MaxConnections}, {"max-requests-in-flight", d.MaxInFlight}} {
		if n.value < 0 || n.value > 10000 {
			errs = append(errs, fmt.Errorf("--%s=%d: use a number from 0 to 10000", n.flag, n.value))
		}
	}
	return errors.Join(errs...)
}

// validateTLS validates the options about certificates.
func (d EndpointOptions) validateTLS(isOpen bool) error {
	var errs []error
	switch tls := d.CertFile != "" || d.KeyFile != ""; {
	case (d.CertFile == "") != (d.KeyFile == ""):
		errs = append(errs, errors.New("--tls-cert-file and --tls-private-key-file must be set together"))
	case tls && d.PlainHTTP:
		errs = append(errs, errors.New("--plain-http and --tls-cert-file cannot be combined"))
	case isOpen && !tls && !d.PlainHTTP:
		errs = append(errs, errors.New("the endpoints need a certificate: set --tls-cert-file and --tls-private-key-file, or --plain-http on loopback addresses"))
	}
	if d.CertSecret != "" && (d.CertFile == "" || filepath.Dir(d.CertFile) != filepath.Dir(d.KeyFile)) {
		errs = append(errs, errors.New("--tls-secret: --tls-cert-file and --tls-private-key-file must name two files in the directory where that Secret is mounted"))
	}
	for _, name := range append([]string{d.CertSecret}, d.DNSNames...) {
		if name != "" && len(validation.IsDNS1123Subdomain(strings.TrimPrefix(name, "*."))) > 0 {
			errs = append(errs, fmt.Errorf("%q is not a DNS name: correct --tls-secret or --tls-dns-names", name))
		}
	}
	if d.ClientCAFile != "" && (d.CertFile == "" || d.WebhookAddress == "0" && d.GRPCAddress == "0") {
		errs = append(errs, errors.New("--client-ca-file is for --webhook-bind-address and --grpc-bind-address, with --tls-cert-file"))
	}
	return errors.Join(errs...)
}
