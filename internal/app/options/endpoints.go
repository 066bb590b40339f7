package options

import (
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/apptoken/operator/internal/cors"
	"github.com/apptoken/operator/internal/verify"
)

// Endpoints holds the options of the endpoints: where they listen, and how they verify
// credentials.
type Endpoints struct {
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
	Origins            cors.Origins // whose pages may call the HTTP endpoints from a browser
	PassPreflights     bool         // /verify and ext_authz pass preflights that gateways hold back
	Issuer             string
	MaxStaleness       time.Duration // 0: verification survives any outage, but no lost watch
	LookupsPerSecond   int           // reads per second of tokens that are not in the index
	UseWritesPerSecond int           // last uses written per second
	MaxConnections     int           // of each listener; 0: no bound
	MaxInFlight        int           // requests in flight; 0: no bound
	// LoginCredentialsInURL accepts a user name and a password in the URL of Funnelback's login.
	LoginCredentialsInURL bool
	PasswordChecks        int           // at once; 0: the number of processors, at most four
	ShutdownDelay         time.Duration // from the signal to stop until no request is accepted
}

// endpointLists holds the values of flags that are parsed once all flags are read.
type endpointLists struct{ proxies, audiences, names, header, origins string }

// addFlags adds the flags of the endpoints. The caller passes the result to parseLists once the
// flags are parsed.
func (e *Endpoints) addFlags(fs *pflag.FlagSet) *endpointLists {
	lists := &endpointLists{}
	fs.StringVar(&e.Address, "bind-address", "0", "`address` of the HTTP endpoints: verification, OAuth, logins, and the management API with its page at /ui/; 0 for none")
	fs.StringVar(&e.WebhookAddress, "webhook-bind-address", "0", "`address` of /tokenreview, for a kube-apiserver; 0 for none")
	fs.StringVar(&e.GRPCAddress, "grpc-bind-address", "0", "`address` of ext_authz, for Envoy; 0 for none")
	fs.BoolVar(&e.PlainHTTP, "plain-http", false, "serve the endpoints without TLS, only on loopback addresses")
	fs.StringVar(&e.CertFile, "tls-cert-file", "", "`file` with the certificate chain of the endpoints, in PEM; reloaded when it changes")
	fs.StringVar(&e.KeyFile, "tls-private-key-file", "", "`file` with the private key of that certificate, in PEM")
	fs.StringVar(&e.CertSecret, "tls-secret", "", "`name` of a Secret in the operator's own namespace, in which the operator creates and renews that certificate, under a CA of its own; mount it where the two files are. Empty: the operator does not manage the certificate")
	fs.StringVar(&lists.names, "tls-dns-names", "", "comma-separated DNS `names` in a certificate that the operator creates; empty: apptoken-operator.NAMESPACE.svc")
	fs.StringVar(&lists.proxies, "trusted-proxies", "", "comma-separated address `ranges` of the gateways that the operator trusts to report the address of a caller, for example 10.0.0.0/8")
	fs.StringVar(&lists.header, "client-address-header", "X-Forwarded-For", "`name` of the header in which trusted proxies report the address of a caller: X-Forwarded-For or Forwarded (RFC 7239); the other one is ignored")
	fs.StringVar(&lists.origins, "cors-allowed-origins", "", "comma-separated `origins` whose pages may call the HTTP endpoints from a browser and use passwords and cookies there, for example https://app.example.com; a wildcard stands for the first label, as in https://*.example.com. Empty: only pages of the operator's own origin")
	fs.BoolVar(&e.PassPreflights, "verify-pass-preflights", false, "have /verify and ext_authz accept preflights of browsers without a credential, if a trusted proxy reports the method OPTIONS. Each proxy must then overwrite X-Forwarded-Method, or every caller passes without a credential")
	fs.StringVar(&lists.audiences, "audiences", "", "comma-separated `names` of the audiences for which tokens are valid in a TokenReview; empty: only those of the API server that sends it")
	fs.StringVar(&e.ClientCAFile, "client-ca-file", "", "`file` with CAs, in PEM; callers of /tokenreview and ext_authz must then present a certificate of one of them; reloaded when it changes. Empty: no certificate is required")
	fs.IntVar(&e.MaxConnections, "max-connections", 4096, "maximum number of connections of each listener; an address that is not a trusted proxy may have at most a quarter of them; 0: no limit")
	fs.IntVar(&e.MaxInFlight, "max-requests-in-flight", 1024, "maximum number of requests in flight, of which a quarter are reserved for verification; 0: no limit")
	fs.StringVar(&e.Issuer, "issuer", "", "`URL` of the endpoints as callers know it, for OAuth metadata. It may have a path, below which the endpoints are served too. Required with --trusted-proxies, unless --bind-address is on loopback. Empty: the host of the request, if the certificate has its name")
	fs.BoolVar(&e.LoginCredentialsInURL, "login-credentials-in-url", false, "accept a user name and a password in the URL of the login of Funnelback, as its old programs send them. URLs get into the logs of gateways and into histories of browsers, so change the programs instead where you can")
	fs.DurationVar(&e.MaxStaleness, "max-staleness", time.Hour, "how long the endpoints stay open without contact with the API server, at least 5s; 0: no limit. If the API server answers but a watch is lost, they close after that time or a minute, whichever is shorter")
	fs.IntVar(&e.LookupsPerSecond, "lookups-per-second", 50, "maximum number of tokens that are not in the index and are looked up in the API server each second; at most a quarter of them for one source; from 0, which looks up none, to 10000")
	fs.IntVar(&e.UseWritesPerSecond, "use-writes-per-second", 10, "maximum number of last uses that each replica writes to the API server each second; from 0, which writes none and so ends session tokens in use as idle, to 10000")
	fs.IntVar(&e.PasswordChecks, "password-checks", 0, "maximum number of passwords that are checked at once; a hash that needs more than 64 MiB of memory, up to the limit of 256 MiB, counts as several; 0: the number of processors, at most four")
	fs.DurationVar(&e.ShutdownDelay, "shutdown-delay", 5*time.Second, "how long the endpoints accept requests after the signal to stop, until gateways have noticed")
	return lists
}

// parseLists sets the options that are lists.
func (e *Endpoints) parseLists(lists *endpointLists) error {
	e.Audiences, e.DNSNames = splitList(lists.audiences), splitList(lists.names)
	e.UseForwarded = strings.EqualFold(lists.header, "Forwarded")
	if !e.UseForwarded && !strings.EqualFold(lists.header, "X-Forwarded-For") {
		return fmt.Errorf("--client-address-header=%q: use X-Forwarded-For or Forwarded", lists.header)
	}
	var err error
	if e.Origins, err = cors.Parse(splitList(lists.origins)); err != nil {
		return fmt.Errorf("--cors-allowed-origins: %s", strings.ReplaceAll(err.Error(), "\n", "\n--cors-allowed-origins: "))
	}
	for _, text := range splitList(lists.proxies) {
		if _, err := netip.ParsePrefix(text); err != nil {
			return fmt.Errorf("--trusted-proxies: %q is not an address range: use CIDR notation, for example 10.0.0.0/8", text)
		}
		e.TrustedProxies = append(e.TrustedProxies, verify.ParseRanges([]string{text})...)
	}
	return nil
}

// CertificateNames returns the DNS names in the certificate of an operator in a namespace.
func (e Endpoints) CertificateNames(namespace string) []string {
	if len(e.DNSNames) > 0 {
		return e.DNSNames
	}
	return []string{"apptoken-operator." + namespace + ".svc"}
}

// Addresses returns the addresses that are set, keyed by flag.
func (e Endpoints) Addresses() map[string]string {
	all := map[string]string{"bind-address": e.Address, "webhook-bind-address": e.WebhookAddress, "grpc-bind-address": e.GRPCAddress}
	maps.DeleteFunc(all, func(_, address string) bool { return address == "0" })
	return all
}
