package app

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

// DoorOptions holds the options of the endpoints: where they listen, and how they verify
// credentials.
type DoorOptions struct {
	Address        string // forward auth, OAuth, logins, management API; host:port, or 0 for none
	WebhookAddress string // TokenReview
	GRPCAddress    string // ext_authz
	PlainHTTP      bool
	CertFile       string
	KeyFile        string
	Secret         string   // in which the operator keeps that certificate; empty: unmanaged
	DNSNames       []string // in the operator's certificate; empty: the name of the Service
	ClientCAFile   string   // CAs of clients of the webhook and ext_authz; empty: none needed
	TrustedProxies []netip.Prefix
	Forwarded      bool // proxies name the client in Forwarded, not in X-Forwarded-For
	Audiences      []string
	Issuer         string
	MaxStaleness   time.Duration // 0: verification survives any outage, but no lost watch
	Lookups        int           // reads per second of tokens that are not in the index
	UseWrites      int           // last uses written per second
	MaxConnections int           // of each listener; 0: no bound
	MaxInFlight    int           // requests in flight; 0: no bound
	PasswordChecks int           // at once; 0: the number of processors, at most four
	Linger         time.Duration // from the signal to stop until no request is accepted
}

// flags adds the flags of the endpoints. It returns a function that parses the lists among them,
// for the caller to call once the flags are parsed.
func (d *DoorOptions) flags(fs *pflag.FlagSet) func() error {
	var proxies, audiences, names, header string
	fs.StringVar(&d.Address, "bind-address", "0", "`address` of the doors, of logins, and of the API with its page at /ui/; 0 for none")
	fs.StringVar(&d.WebhookAddress, "webhook-bind-address", "0", "`address` of /tokenreview, for a kube-apiserver; 0 for none")
	fs.StringVar(&d.GRPCAddress, "grpc-bind-address", "0", "`address` of ext_authz, for Envoy; 0 for none")
	fs.BoolVar(&d.PlainHTTP, "plain-http", false, "serve the doors without TLS, on loopback addresses only")
	fs.StringVar(&d.CertFile, "tls-cert-file", "", "`file` with the certificate chain of the doors, in PEM; read again when it changes")
	fs.StringVar(&d.KeyFile, "tls-private-key-file", "", "`file` with its key")
	fs.StringVar(&d.Secret, "tls-secret", "", "`name` of a Secret in the operator's own namespace in which it makes and renews that certificate, under a CA of its own; mount it where the two files are. Empty: the certificate is somebody else's")
	fs.StringVar(&names, "tls-dns-names", "", "comma-separated `names` in a certificate that the operator makes; empty: apptoken-operator.NAMESPACE.svc")
	fs.StringVar(&proxies, "trusted-proxies", "", "comma-separated `ranges` of the gateways whose word about the address of a caller is believed, as 10.0.0.0/8")
	fs.StringVar(&header, "client-address-header", "X-Forwarded-For", "`name` of the header in which trusted proxies write the address of a caller: X-Forwarded-For or Forwarded (RFC 7239); the other one is ignored")
	fs.StringVar(&audiences, "audiences", "", "comma-separated `names` of the audiences that tokens are good for in a TokenReview; empty: the API server that asks, alone")
	fs.StringVar(&d.ClientCAFile, "client-ca-file", "", "`file` with CAs, in PEM; callers of /tokenreview and ext_authz must then present a certificate of one of them; read again when it changes. Empty: they need none")
	fs.IntVar(&d.MaxConnections, "max-connections", 4096, "how many connections each listener has at once, of which one address that is no trusted proxy has a quarter at most; 0: there is no bound")
	fs.IntVar(&d.MaxInFlight, "max-requests-in-flight", 1024, "how many requests are answered at once, of which a quarter are for verification alone; 0: there is no bound")
	fs.StringVar(&d.Issuer, "issuer", "", "`URL` of the endpoints as callers know it, for OAuth metadata. Required with --trusted-proxies. Empty: the host that a caller asks for, if the certificate has its name")
	fs.DurationVar(&d.MaxStaleness, "max-staleness", time.Hour, "how long the doors stay open without word from the API server, at least 5s; 0: for ever. Where the API server answers but a watch is lost, they close after that time or a minute, whichever is shorter")
	fs.IntVar(&d.Lookups, "lookups-per-second", 50, "how many tokens that are not known yet are looked up in the API server each second, a quarter of them for one source at most")
	fs.IntVar(&d.UseWrites, "use-writes-per-second", 10, "how many last uses are written to the API server each second, by each replica")
	fs.IntVar(&d.PasswordChecks, "password-checks", 0, "how many passwords are checked at once; a hash that asks for more than 64 MiB of memory, of which 256 MiB are the most, counts as several; 0: as many as there are processors, four at most")
	fs.DurationVar(&d.Linger, "shutdown-delay", 5*time.Second, "how long the doors go on taking requests when told to stop, until gateways have noticed")
	return func() error {
		d.Audiences, d.DNSNames = list(audiences), list(names)
		d.Forwarded = strings.EqualFold(header, "Forwarded")
		if !d.Forwarded && !strings.EqualFold(header, "X-Forwarded-For") {
			return fmt.Errorf("--client-address-header=%q: write X-Forwarded-For or Forwarded", header)
		}
		for _, text := range list(proxies) {
			if _, err := netip.ParsePrefix(text); err != nil {
				return fmt.Errorf("--trusted-proxies: %q is no range of addresses: write it like 10.0.0.0/8", text)
			}
			d.TrustedProxies = append(d.TrustedProxies, verify.Ranges([]string{text})...)
		}
		return nil
	}
}

// names returns the DNS names in the certificate of an operator in a namespace.
func (d DoorOptions) names(namespace string) []string {
	if len(d.DNSNames) > 0 {
		return d.DNSNames
	}
	return []string{"apptoken-operator." + namespace + ".svc"}
}

// open returns the addresses that are set, keyed by flag.
func (d DoorOptions) open() map[string]string {
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

func (d DoorOptions) validate() error {
	var errs []error
	open := d.open()
	for _, name := range slices.Sorted(maps.Keys(open)) {
		if _, _, err := net.SplitHostPort(open[name]); err == nil && d.PlainHTTP && !isLoopback(open[name]) {
			errs = append(errs, fmt.Errorf("--%s=%q: --plain-http is for loopback addresses such as 127.0.0.1:8443, since tokens would go over the network in the clear", name, open[name]))
		}
	}
	errs = append(errs, d.validateTLS(len(open) > 0))
	if d.Issuer != "" {
		if u, err := url.Parse(d.Issuer); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.RawQuery != "" || u.Fragment != "" || u.Path != "" {
			errs = append(errs, fmt.Errorf("--issuer=%q: write a URL without a path, like https://tokens.example.com", d.Issuer))
		}
	}
	if d.Issuer == "" && len(d.TrustedProxies) > 0 && d.Address != "0" && !isLoopback(d.Address) {
		errs = append(errs, errors.New("--issuer is required with --trusted-proxies and --bind-address: set it to the URL under which the gateway serves the endpoints, like https://tokens.example.com"))
	}
	if d.MaxStaleness != 0 && d.MaxStaleness < minStaleness {
		errs = append(errs, fmt.Errorf("--max-staleness=%s: write 0 for ever, or at least %s: an API server shows every few seconds that a watch delivers", d.MaxStaleness, minStaleness))
	}
	if d.Linger < 0 || d.Linger > time.Minute {
		errs = append(errs, errors.New("--shutdown-delay is from 0s to 1m"))
	}
	for _, n := range []struct {
		flag  string
		value int
	}{{"lookups-per-second", d.Lookups}, {"use-writes-per-second", d.UseWrites}, {"password-checks", d.PasswordChecks}, {"max-connections", d.MaxConnections}, {"max-requests-in-flight", d.MaxInFlight}} {
		if n.value < 0 || n.value > 10000 {
			errs = append(errs, fmt.Errorf("--%s=%d: write a number from 0 to 10000", n.flag, n.value))
		}
	}
	return errors.Join(errs...)
}

// validateTLS validates the options about certificates.
func (d DoorOptions) validateTLS(isOpen bool) error {
	var errs []error
	switch tls := d.CertFile != "" || d.KeyFile != ""; {
	case (d.CertFile == "") != (d.KeyFile == ""):
		errs = append(errs, errors.New("--tls-cert-file and --tls-private-key-file go together"))
	case tls && d.PlainHTTP:
		errs = append(errs, errors.New("--plain-http and --tls-cert-file exclude each other"))
	case isOpen && !tls && !d.PlainHTTP:
		errs = append(errs, errors.New("the doors need a certificate: set --tls-cert-file and --tls-private-key-file, or --plain-http on loopback addresses"))
	}
	if d.Secret != "" && (d.CertFile == "" || filepath.Dir(d.CertFile) != filepath.Dir(d.KeyFile)) {
		errs = append(errs, errors.New("--tls-secret: --tls-cert-file and --tls-private-key-file are to name two files in the folder where that Secret is mounted"))
	}
	for _, name := range append([]string{d.Secret}, d.DNSNames...) {
		if name != "" && len(validation.IsDNS1123Subdomain(strings.TrimPrefix(name, "*."))) > 0 {
			errs = append(errs, fmt.Errorf("%q is neither the name of a Secret nor one for a certificate", name))
		}
	}
	if d.ClientCAFile != "" && (d.CertFile == "" || d.WebhookAddress == "0" && d.GRPCAddress == "0") {
		errs = append(errs, errors.New("--client-ca-file is for --webhook-bind-address and --grpc-bind-address, with --tls-cert-file"))
	}
	return errors.Join(errs...)
}
