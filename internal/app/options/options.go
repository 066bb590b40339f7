package options

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/pflag"
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
	Endpoints      Endpoints

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

// Parse parses the flags in args, and takes the flags that args do not set from the environment.
// The error of --help is Help.
func Parse(args []string, env func(string) string) (Options, error) {
	var o Options
	fs := pflag.NewFlagSet("apptoken-operator", pflag.ContinueOnError)
	parseLists := o.addFlags(fs, env)
	if err := parseArguments(fs, args); err != nil {
		return Options{}, err
	}
	if err := setFromEnvironment(fs, env); err != nil {
		return Options{}, err
	}
	if err := parseLists(); err != nil {
		return Options{}, err
	}
	if err := o.validate(); err != nil {
		return Options{}, err
	}
	return o, nil
}

// addFlags adds all flags. It returns a function that parses the lists among them, for the caller
// to call once the flags are parsed.
func (o *Options) addFlags(fs *pflag.FlagSet, env func(string) string) (parseLists func() error) {
	var namespaces string
	own := cmp.Or(env("POD_NAMESPACE"), "apptoken-system")
	fs.StringVar(&o.MetricsAddress, "metrics-bind-address", ":8080", "`address` of the Prometheus metrics at /metrics: over TLS, for callers that may get /metrics; on a loopback address over plain HTTP, for all callers; 0 for none")
	fs.StringVar(&o.HealthAddress, "health-probe-bind-address", ":8081", "`address` of /healthz and /readyz; 0 for none")
	fs.BoolVar(&o.LeaderElect, "leader-elect", false, "elect one replica that reconciles; required with more than one replica")
	fs.StringVar(&o.Namespace, "namespace", own, "`name` of the operator's own namespace, which contains the token records and the Lease. POD_NAMESPACE sets the default")
	fs.StringVar(&namespaces, "namespaces", "", "comma-separated `names` of the namespaces to serve; the operator then needs rights on tokens and Secrets only in these; empty: all")
	lists := o.Endpoints.addFlags(fs)
	fs.IntVar(&o.Workers, "workers", 6, "number of tokens that are reconciled at once; first tokens and revocations have four times as many workers of their own")
	fs.StringVar(&o.LogLevel, "log-level", "info", "lowest level that is logged: error, info or debug")
	return func() error {
		o.Namespaces = splitList(namespaces)
		if err := o.Endpoints.parseLists(lists); err != nil {
			return err
		}
		if namespaces != "" && len(o.Namespaces) == 0 {
			return fmt.Errorf("--namespaces=%q contains no namespace: leave it empty to serve all", namespaces)
		}
		return nil
	}
}

// parseArguments parses the flags in args.
func parseArguments(fs *pflag.FlagSet, args []string) error {
	fs.Usage = func() {}
	err := fs.Parse(args)
	if errors.Is(err, pflag.ErrHelp) {
		return Help(usage + fs.FlagUsagesWrapped(100))
	}
	if invalid, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		f := invalid.GetFlag()
		err = invalidValue("--"+f.Name, invalid.GetValue(), f)
	}
	if err != nil {
		return fmt.Errorf("%w; see --help", err)
	}
	if fs.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q: only flags are accepted; see --help", fs.Arg(0))
	}
	return nil
}

// invalidValue returns an error that states what the value of a flag must be. name is how the value
// was set: by the flag, or by its variable.
func invalidValue(name, value string, f *pflag.Flag) error {
	expected := map[string]string{"int": "a whole number", "bool": "true or false", "duration": "a duration in h, m and s"}[f.Value.Type()]
	return fmt.Errorf("%s=%q: use %s, for example %s", name, value, expected, f.DefValue)
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
				errs = append(errs, invalidValue(name, v, f))
			}
		}
	})
	return errors.Join(errs...)
}

// SecureMetrics reports whether /metrics is served over TLS, to clients that the API server
// authorizes.
func (o Options) SecureMetrics() bool {
	return o.MetricsAddress != "0" && !isLoopback(o.MetricsAddress)
}
