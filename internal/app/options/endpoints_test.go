package options_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/app/options"
	"github.com/apptoken/operator/internal/cors"
)

// dependentFlags holds the flags that have an effect with other flags only.
var dependentFlags = []string{"tls-cert-file", "tls-private-key-file", "tls-secret", "client-ca-file", "verify-pass-preflights"}

// endpointFlags holds the flags of the endpoints, as in flags.
var endpointFlags = map[string]struct {
	one, two       string
	first, second  func(*options.Options)
	bad, complaint string
	variableName   string
}{
	"bind-address":         disabledAddressRow("bind-address"),
	"webhook-bind-address": disabledAddressRow("webhook-bind-address"),
	"grpc-bind-address":    disabledAddressRow("grpc-bind-address"),
	"plain-http": {
		one: "true", first: func(o *options.Options) { o.Endpoints.PlainHTTP = true },
		two: "false", second: func(*options.Options) {},
		bad: "maybe", complaint: `--plain-http="maybe": use true or false, for example false; see --help`,
		variableName: `APPTOKEN_PLAIN_HTTP="maybe": use true or false, for example false`,
	},
	"tls-dns-names": {
		one: "tokens.example.com", first: func(o *options.Options) { o.Endpoints.DNSNames = []string{"tokens.example.com"} },
		two: "*.example.com, tokens.example.org", second: func(o *options.Options) { o.Endpoints.DNSNames = []string{"*.example.com", "tokens.example.org"} },
		bad: "https://tokens", complaint: `--tls-dns-names: "https://tokens" is not a DNS name: use lower-case letters, digits, hyphens and dots`,
	},
	"trusted-proxies": {
		one: "10.0.0.0/8", first: func(o *options.Options) {
			o.Endpoints.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		},
		two: " fd00::/8, 192.0.2.1/32", second: func(o *options.Options) {
			o.Endpoints.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("192.0.2.1/32")}
		},
		bad: "10.0.0.1", complaint: `--trusted-proxies: "10.0.0.1" is not an address range: use CIDR notation, for example 10.0.0.0/8`,
	},
	"client-address-header": {
		one: "Forwarded", first: func(o *options.Options) { o.Endpoints.UseForwarded = true },
		two: "x-forwarded-for", second: func(*options.Options) {},
		bad: "X-Real-IP", complaint: `--client-address-header="X-Real-IP": use X-Forwarded-For or Forwarded`,
	},
	"cors-allowed-origins": {
		one: "https://app.example.com", first: func(o *options.Options) { o.Endpoints.Origins = parseOrigins("https://app.example.com") },
		two: "https://*.example.com, http://localhost:3000", second: func(o *options.Options) {
			o.Endpoints.Origins = parseOrigins("https://*.example.com", "http://localhost:3000")
		},
		bad: "https://app.example.com/", complaint: `--cors-allowed-origins: "https://app.example.com/": is longer than an origin: write https://app.example.com`,
	},
	"audiences": {
		one: "shop", first: func(o *options.Options) { o.Endpoints.Audiences = []string{"shop"} },
		two: "shop, search", second: func(o *options.Options) { o.Endpoints.Audiences = []string{"shop", "search"} },
	},
	"issuer": {
		one: "https://tokens.example.com", first: func(o *options.Options) { o.Endpoints.Issuer = "https://tokens.example.com" },
		two: "http://127.0.0.1:8443", second: func(o *options.Options) { o.Endpoints.Issuer = "http://127.0.0.1:8443" },
		bad: "tokens.example.com/", complaint: `--issuer="tokens.example.com/": use a URL of a scheme and a host alone, for example https://tokens.example.com`,
	},
	"max-staleness": {
		one: "10m", first: func(o *options.Options) { o.Endpoints.MaxStaleness = 10 * time.Minute },
		two: "0s", second: func(o *options.Options) { o.Endpoints.MaxStaleness = 0 },
		bad: "4s", complaint: "--max-staleness=4s: use 0 for no limit, or at least 5s: watches show only every few seconds that they deliver",
	},
	"shutdown-delay": {
		one: "0s", first: func(o *options.Options) { o.Endpoints.ShutdownDelay = 0 },
		two: "1m", second: func(o *options.Options) { o.Endpoints.ShutdownDelay = time.Minute },
		bad: "61s", complaint: "--shutdown-delay=1m1s: use a duration from 0s to 1m",
	},
	"lookups-per-second": {
		one: "0", first: func(o *options.Options) { o.Endpoints.LookupsPerSecond = 0 },
		two: "10000", second: func(o *options.Options) { o.Endpoints.LookupsPerSecond = 10000 },
		bad: "-1", complaint: "--lookups-per-second=-1: use a number from 0 to 10000",
	},
	"use-writes-per-second": {
		one: "0", first: func(o *options.Options) { o.Endpoints.UseWritesPerSecond = 0 },
		two: "10000", second: func(o *options.Options) { o.Endpoints.UseWritesPerSecond = 10000 },
		bad: "10001", complaint: "--use-writes-per-second=10001: use a number from 0 to 10000",
	},
	"max-connections": {
		one: "1", first: func(o *options.Options) { o.Endpoints.MaxConnections = 1 },
		two: "0", second: func(o *options.Options) { o.Endpoints.MaxConnections = 0 },
		bad: "-1", complaint: "--max-connections=-1: use a number from 0 to 10000",
	},
	"max-requests-in-flight": {
		one: "1", first: func(o *options.Options) { o.Endpoints.MaxInFlight = 1 },
		two: "0", second: func(o *options.Options) { o.Endpoints.MaxInFlight = 0 },
		bad: "10001", complaint: "--max-requests-in-flight=10001: use a number from 0 to 10000",
	},
	"login-credentials-in-url": {
		one: "true", first: func(o *options.Options) { o.Endpoints.LoginCredentialsInURL = true },
		two: "false", second: func(*options.Options) {},
		bad: "maybe", complaint: `--login-credentials-in-url="maybe": use true or false, for example false; see --help`,
		variableName: `APPTOKEN_LOGIN_CREDENTIALS_IN_URL="maybe": use true or false, for example false`,
	},
	"password-checks": {
		one: "1", first: func(o *options.Options) { o.Endpoints.PasswordChecks = 1 },
		two: "64", second: func(o *options.Options) { o.Endpoints.PasswordChecks = 64 },
		bad: "-1", complaint: "--password-checks=-1: use a number from 0 to 10000",
	},
}

// parseOrigins parses a list of valid origins.
func parseOrigins(list ...string) cors.Origins {
	all, err := cors.Parse(list)
	if err != nil {
		panic(err)
	}
	return all
}

// disabledAddressRow returns the row of an address that is invalid without a certificate.
func disabledAddressRow(flag string) (row struct {
	one, two       string
	first, second  func(*options.Options)
	bad, complaint string
	variableName   string
}) {
	row.one, row.first = "0", func(*options.Options) {}
	row.two, row.second = "0", func(*options.Options) {}
	row.bad = "127.0.0.1:8443"
	row.complaint = "the endpoints need a certificate: set --tls-cert-file and --tls-private-key-file, or --plain-http on loopback addresses"
	return row
}

func TestOptions_EndpointsNeedCertificateOrLoopback(t *testing.T) {
	for sentence, x := range map[string]struct{ args, complaint string }{
		"with a certificate, anywhere":          {"--bind-address=:8443 --grpc-bind-address=0.0.0.0:9001 --tls-cert-file=a --tls-private-key-file=b", ""},
		"without one, on loopback":              {"--bind-address=127.0.0.1:8443 --webhook-bind-address=[::1]:9443 --grpc-bind-address=localhost:9001 --plain-http", ""},
		"without one, on any address":           {"--bind-address=:8443 --plain-http", "--plain-http is for loopback addresses"},
		"without one, on all addresses":         {"--grpc-bind-address=0.0.0.0:9001 --plain-http", "--plain-http is for loopback addresses"},
		"without one, by a name":                {"--webhook-bind-address=example.com:9443 --plain-http", "--plain-http is for loopback addresses"},
		"without one, and nothing said":         {"--bind-address=127.0.0.1:8443", "the endpoints need a certificate"},
		"a certificate without its key":         {"--bind-address=:8443 --tls-cert-file=a", "must be set together"},
		"a key without its certificate":         {"--tls-private-key-file=b", "must be set together"},
		"a certificate, and plain all the same": {"--plain-http --tls-cert-file=a --tls-private-key-file=b", "cannot be combined"},
		"with one that it makes":                {"--bind-address=:8443 --tls-secret=s --tls-cert-file=/a/tls.crt --tls-private-key-file=/a/tls.key", ""},
		"one that it makes, and no files":       {"--bind-address=:8443 --tls-secret=s", "two files in the directory where that Secret is mounted"},
		"one that it makes, in two folders":     {"--bind-address=:8443 --tls-secret=s --tls-cert-file=/a/tls.crt --tls-private-key-file=/b/tls.key", "two files in the directory where that Secret is mounted"},
		"one that it makes, in a wildcard":      {"--bind-address=:8443 --tls-secret=*.x --tls-cert-file=/a/tls.crt --tls-private-key-file=/a/tls.key", `--tls-secret: "*.x" is not a valid Secret name`},
		"one that it makes, in no Secret":       {"--bind-address=:8443 --tls-secret=S! --tls-cert-file=/a/tls.crt --tls-private-key-file=/a/tls.key", `--tls-secret: "S!" is not a valid Secret name`},
		"behind a gateway, with an issuer":      {"--bind-address=:8443 --trusted-proxies=10.0.0.0/8 --issuer=https://t.example.com --tls-cert-file=a --tls-private-key-file=b", ""},
		"an issuer with a password":             {"--bind-address=:8443 --issuer=https://u:hidden@t.example.com --tls-cert-file=a --tls-private-key-file=b", `--issuer="https://u:xxxxx@t.example.com"`},
		"behind a gateway, without an issuer":   {"--bind-address=:8443 --trusted-proxies=10.0.0.0/8 --tls-cert-file=a --tls-private-key-file=b", "--issuer is required with --trusted-proxies"},
		"behind one on the same host":           {"--bind-address=127.0.0.1:8443 --trusted-proxies=127.0.0.0/8 --plain-http", ""},
		"with CAs of clients":                   {"--bind-address=:8443 --webhook-bind-address=:9443 --client-ca-file=c --tls-cert-file=a --tls-private-key-file=b", ""},
		"with CAs of clients, in the clear":     {"--webhook-bind-address=127.0.0.1:9443 --client-ca-file=c --plain-http", "--client-ca-file: set --tls-cert-file"},
		"with CAs of clients, of no listener":   {"--bind-address=:8443 --client-ca-file=c --tls-cert-file=a --tls-private-key-file=b", "--client-ca-file: set --tls-cert-file"},
		"an address that is none":               {"--bind-address=8443 --plain-http", "use host:port or :port, or 0 for none"},
	} {
		o, err := options.Parse(strings.Fields(x.args), environment{}.get)
		switch {
		case x.complaint == "" && (err != nil || o.Endpoints.Address == "0"):
			t.Errorf("%s: %v", sentence, err)
		case x.complaint != "" && (err == nil || !strings.Contains(err.Error(), x.complaint)):
			t.Errorf("%s: %v, want %s", sentence, err, x.complaint)
		}
	}
}
