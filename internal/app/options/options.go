package options

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Options holds the options of the operator.
type Options struct {
	MetricsAddress string   // host:port, or 0 for none
	HealthAddress  string   // host:port, or 0 for none
	LeaderElect    bool     // needed with several replicas
	Namespace      string   // the operator's own namespace, of records and leases
	Namespaces     []string // the namespaces that are served; empty: all
	Workers        int      // tokens reconciled at once
	LogLevel       string   // error, info or debug
	Endpoints      EndpointOptions

	AuditLog io.Writer // destination of the audit log; nil: standard error
}

const usage = `The operator issues, stores, verifies, rotates and revokes application tokens.

It finds the cluster by KUBECONFIG, else by the service account of the pod, else
by ~/.kube/config. Each flag can also be set by an environment variable:
--metrics-bind-address by APPTOKEN_METRICS_BIND_ADDRESS. A flag takes precedence
over its variable.

Usage:
`

// Help is a request for help as an error. It holds the text of the help.
type Help string

func (h Help) Error() string { return string(h) }

// ParseOptions parses the flags in args, and takes the flags that args do not set from the
// environment. The error of --help is Help.
func ParseOptions(args []string, env func(string) string) (Options, error) {
	var o Options
	var namespaces string
	own := env("POD_NAMESPACE")
	if own == "" {
		own = "apptoken-system"
	}
	fs := pflag.NewFlagSet("apptoken-operator", pflag.ContinueOnError)
	fs.StringVar(&o.MetricsAddress, "metrics-bind-address", ":8080", "`address` of the Prometheus metrics at /metrics: over TLS, for callers that may get /metrics; on a loopback address over plain HTTP, for all callers; 0 for none")
	fs.StringVar(&o.HealthAddress, "health-probe-bind-address", ":8081", "`address` of /healthz and /readyz; 0 for none")
	fs.BoolVar(&o.LeaderElect, "leader-elect", false, "elect one replica that reconciles; required with more than one replica")
	fs.StringVar(&o.Namespace, "namespace", own, "`name` of the operator's own namespace, which contains the token records and the Lease. POD_NAMESPACE sets the default")
	fs.StringVar(&namespaces, "namespaces", "", "comma-separated `names` of the namespaces to serve; the operator then needs rights on tokens and Secrets only in these; empty: all")
	parseEndpoints := o.Endpoints.addFlags(fs)
	fs.IntVar(&o.Workers, "workers", 6, "number of tokens that are reconciled at once; first tokens and revocations have four times as many workers of their own")
	fs.StringVar(&o.LogLevel, "log-level", "info", "lowest level that is logged: error, info or debug")
	fs.Usage = func() {}
	err := fs.Parse(args)
	if errors.Is(err, pflag.ErrHelp) {
		return Options{}, Help(usage + fs.FlagUsagesWrapped(100))
	}
	if err != nil {
		return Options{}, fmt.Errorf("%w; see --help", err)
	}
	if fs.NArg() > 0 {
		return Options{}, fmt.Errorf("unexpected argument %q: only flags are accepted; see --help", fs.Arg(0))
	}
	if err := setFromEnvironment(fs, env); err != nil {
		return Options{}, err
	}
	o.Namespaces = splitList(namespaces)
	if err := parseEndpoints(); err != nil {
		return Options{}, err
	}
	if namespaces != "" && len(o.Namespaces) == 0 {
		return Options{}, fmt.Errorf("--namespaces=%q contains no namespace: leave it empty to serve all", namespaces)
	}
	if err := o.validate(); err != nil {
		return Options{}, err
	}
	return o, nil
}

// splitList splits text at commas, trims the items, and omits empty and duplicate items.
func splitList(text string) []string {
	var all []string
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" && !slices.Contains(all, item) {
			all = append(all, item)
		}
	}
	return all
}

// setFromEnvironment sets the flags that args did not set from APPTOKEN_ variables.
func setFromEnvironment(fs *pflag.FlagSet, env func(string) string) error {
	var errs []error
	fs.VisitAll(func(f *pflag.Flag) {
		name := "APPTOKEN_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		if v := env(name); v != "" && !f.Changed {
			if err := f.Value.Set(v); err != nil {
				errs = append(errs, fmt.Errorf("%s=%q: %w", name, v, err))
			}
		}
	})
	return errors.Join(errs...)
}

// secureMetrics reports whether /metrics is served over TLS, to clients that the API server
// authorizes.
func (o Options) secureMetrics() bool {
	return o.MetricsAddress != "0" && !isLoopback(o.MetricsAddress)
}

func (o Options) validate() error {
	var errs []error
	for _, a := range []struct{ flag, freeAddress string }{
		{"metrics-bind-address", o.MetricsAddress},
		{"health-probe-bind-address", o.HealthAddress},
		{"bind-address", o.Endpoints.Address},
		{"webhook-bind-address", o.Endpoints.WebhookAddress},
		{"grpc-bind-address", o.Endpoints.GRPCAddress},
	} {
		if _, _, err := net.SplitHostPort(a.freeAddress); a.freeAddress != "0" && err != nil {
			errs = append(errs, fmt.Errorf("--%s=%q: use host:port or :port, or 0 for none", a.flag, a.freeAddress))
		}
	}
	for _, name := range append([]string{o.Namespace}, o.Namespaces...) {
		if len(validation.IsDNS1123Label(name)) > 0 {
			errs = append(errs, fmt.Errorf("%q is not a valid namespace name", name))
		}
	}
	if o.Workers < 1 || o.Workers > 1024 {
		errs = append(errs, fmt.Errorf("--workers=%d: use a number from 1 to 1024", o.Workers))
	}
	if _, ok := logLevels[o.LogLevel]; !ok {
		errs = append(errs, fmt.Errorf("--log-level=%q: use error, info or debug", o.LogLevel))
	}
	return errors.Join(append(errs, o.Endpoints.validate())...)
}
