package options_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/app/options"
	"github.com/apptoken/operator/internal/testing/controlplane"
)

// environment is an environment in which only these variables are set.
type environment map[string]string

func (e environment) get(name string) string { return e[name] }

func defaultOptions() options.Options {
	return options.Options{
		MetricsAddress: ":8080", HealthAddress: ":8081", Namespace: "apptoken-system", Workers: 6, LogLevel: "info",
		Endpoints: options.Endpoints{
			Address: "0", WebhookAddress: "0", GRPCAddress: "0", LookupsPerSecond: 50, UseWritesPerSecond: 10, ShutdownDelay: 5 * time.Second, MaxConnections: 4096, MaxInFlight: 1024, MaxStaleness: time.Hour,
		},
	}
}

// flagRows holds all flags: two valid values, the options that each makes of the defaults, and an
// invalid value with its error.
var flagRows = map[string]struct {
	one, two       string
	first, second  func(*options.Options)
	bad, complaint string // of the flag
	variableName   string // error of the variable; empty: the same
}{
	"metrics-bind-address": {
		one: "127.0.0.1:9090", first: func(o *options.Options) { o.MetricsAddress = "127.0.0.1:9090" },
		two: "0", second: func(o *options.Options) { o.MetricsAddress = "0" },
		bad: "9090", complaint: `--metrics-bind-address="9090": use host:port or :port, or 0 for none`,
	},
	"health-probe-bind-address": {
		one: "[::1]:9091", first: func(o *options.Options) { o.HealthAddress = "[::1]:9091" },
		two: "0", second: func(o *options.Options) { o.HealthAddress = "0" },
		bad: "localhost", complaint: `--health-probe-bind-address="localhost": use host:port or :port, or 0 for none`,
	},
	"leader-elect": {
		one: "true", first: func(o *options.Options) { o.LeaderElect = true },
		two: "false", second: func(*options.Options) {},
		bad: "maybe", complaint: `--leader-elect="maybe": use true or false, for example false; see --help`,
		variableName: `APPTOKEN_LEADER_ELECT="maybe": use true or false, for example false`,
	},
	"namespace": {
		one: "tokens", first: func(o *options.Options) { o.Namespace = "tokens" },
		two: "tokens-2", second: func(o *options.Options) { o.Namespace = "tokens-2" },
		bad: "Tokens", complaint: `--namespace: "Tokens" is not a valid namespace name` + namespaceForm,
	},
	"namespaces": {
		one: "shop", first: func(o *options.Options) { o.Namespaces = []string{"shop"} },
		two: " search, shop,,search ,", second: func(o *options.Options) { o.Namespaces = []string{"search", "shop"} },
		bad: "shop,a b", complaint: `--namespaces: "a b" is not a valid namespace name` + namespaceForm,
	},
	"workers": {
		one: "1", first: func(o *options.Options) { o.Workers = 1 },
		two: "1024", second: func(o *options.Options) { o.Workers = 1024 },
		bad: "many", complaint: `--workers="many": use a whole number, for example 6; see --help`,
		variableName: `APPTOKEN_WORKERS="many": use a whole number, for example 6`,
	},
	"log-level": {
		one: "debug", first: func(o *options.Options) { o.LogLevel = "debug" },
		two: "error", second: func(o *options.Options) { o.LogLevel = "error" },
		bad: "Debug", complaint: `--log-level="Debug": use error, info or debug`,
	},
}

func init() { maps.Copy(flagRows, endpointFlags) }

// namespaceForm ends each error about the name of a namespace.
const namespaceForm = ": use at most 63 lower-case letters, digits and hyphens, with a letter or digit first and last"

func variableName(flag string) string {
	return "APPTOKEN_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// assertOptions asserts the options that follow from arguments and variables.
func assertOptions(t *testing.T, args []string, env environment, twists ...func(*options.Options)) {
	t.Helper()
	want := defaultOptions()
	for _, twist := range twists {
		twist(&want)
	}
	got, err := options.Parse(args, env.get)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v in %v: got %+v, %v; want %+v", args, env, got, err, want)
	}
}

// assertParseError asserts the error of arguments and variables that are invalid.
func assertParseError(t *testing.T, args []string, env environment, want string) {
	t.Helper()
	got, err := options.Parse(args, env.get)
	if err == nil || err.Error() != want || !reflect.DeepEqual(got, options.Options{}) {
		t.Errorf("%v in %v: got %+v and\n%v\nwant\n%s", args, env, got, err, want)
	}
	if _, ok := errors.AsType[options.Help](err); ok {
		t.Errorf("%v in %v: a mistake is taken for a request for help", args, env)
	}
}

func TestOptions_FlagOverridesVariable(t *testing.T) {
	fields := reflect.TypeFor[options.Options]().NumField() - 2 + reflect.TypeFor[options.Endpoints]().NumField()
	if len(flagRows)+len(dependentFlags) != fields {
		t.Error("there are options without a flag in these tables")
	}
	assertOptions(t, nil, nil)
	for flag, c := range flagRows {
		t.Run(flag, func(t *testing.T) {
			one, two, name := "--"+flag+"="+c.one, "--"+flag+"="+c.two, variableName(flag)
			assertOptions(t, []string{one}, nil, c.first)
			assertOptions(t, []string{two}, nil, c.second)
			assertOptions(t, []string{one, two}, nil, c.second)
			assertOptions(t, nil, environment{name: c.one}, c.first)
			assertOptions(t, nil, environment{name: c.two}, c.second)
			assertOptions(t, nil, environment{name: ""})
			assertOptions(t, []string{one}, environment{name: c.two}, c.first)
			assertOptions(t, []string{one}, environment{name: c.bad}, c.first)

			if c.complaint == "" {
				return // any value is valid
			}
			assertParseError(t, []string{"--" + flag + "=" + c.bad}, nil, c.complaint)
			if c.variableName == "" {
				c.variableName = c.complaint
			}
			assertParseError(t, nil, environment{name: c.bad}, c.variableName)
		})
	}
}

func TestOptions_NamespaceDefaultsToPodNamespace(t *testing.T) {
	named := func(name string) func(*options.Options) { return func(o *options.Options) { o.Namespace = name } }
	assertOptions(t, nil, environment{"POD_NAMESPACE": "pod"}, named("pod"))
	assertOptions(t, nil, environment{"POD_NAMESPACE": "pod", "APPTOKEN_NAMESPACE": "variable"}, named("variable"))
	assertOptions(t, []string{"--namespace=flag"}, environment{"POD_NAMESPACE": "pod", "APPTOKEN_NAMESPACE": "variable"}, named("flag"))
	assertParseError(t, nil, environment{"POD_NAMESPACE": "a/b"}, `--namespace: "a/b" is not a valid namespace name`+namespaceForm)
}

func TestOptions_FlagResetsVariable(t *testing.T) {
	env := environment{"APPTOKEN_LEADER_ELECT": "true", "APPTOKEN_NAMESPACES": "shop"}
	assertOptions(t, nil, env, flagRows["leader-elect"].first, flagRows["namespaces"].first)
	assertOptions(t, []string{"--leader-elect=false", "--namespaces="}, env)
	assertOptions(t, []string{"--leader-elect"}, nil, flagRows["leader-elect"].first)
}

func TestOptions_ErrorNamesInvalidValue(t *testing.T) {
	for sentence, c := range map[string]struct {
		args []string
		env  environment
		want string
	}{
		"an unknown flag":              {args: []string{"--metric-bind-address=0"}, want: "unknown flag: --metric-bind-address; see --help"},
		"an unknown short flag":        {args: []string{"-n", "shop"}, want: "unknown shorthand flag: 'n' in -n; see --help"},
		"a flag without its value":     {args: []string{"--workers"}, want: "flag needs an argument: --workers; see --help"},
		"an argument that is no flag":  {args: []string{"run"}, want: `unexpected argument "run": only flags are accepted; see --help`},
		"a value apart from a switch":  {args: []string{"--leader-elect", "false"}, want: `unexpected argument "false": only flags are accepted; see --help`},
		"an address without a port":    {args: []string{"--metrics-bind-address=::1"}, want: `--metrics-bind-address="::1": use host:port or :port, or 0 for none`},
		"no address":                   {args: []string{"--health-probe-bind-address="}, want: `--health-probe-bind-address="": use host:port or :port, or 0 for none`},
		"no namespace":                 {args: []string{"--namespace="}, want: `--namespace: "" is not a valid namespace name` + namespaceForm},
		"a namespace of 64 letters":    {args: []string{"--namespace=" + strings.Repeat("a", 64)}, want: `--namespace: "` + strings.Repeat("a", 64) + `" is not a valid namespace name` + namespaceForm},
		"a namespace that is a path":   {args: []string{"--namespaces=../shop"}, want: `--namespaces: "../shop" is not a valid namespace name` + namespaceForm},
		"all namespaces by a star":     {args: []string{"--namespaces=*"}, want: `--namespaces: "*" is not a valid namespace name` + namespaceForm},
		"all namespaces by a mistake":  {args: []string{"--namespaces=,"}, want: `--namespaces="," contains no namespace: leave it empty to serve all`},
		"the same in the environment":  {env: environment{"APPTOKEN_NAMESPACES": " "}, want: `--namespaces=" " contains no namespace: leave it empty to serve all`},
		"no workers":                   {args: []string{"--workers=0"}, want: "--workers=0: use a number from 1 to 1024"},
		"less than no workers":         {args: []string{"--workers=-1"}, want: "--workers=-1: use a number from 1 to 1024"},
		"too many workers":             {env: environment{"APPTOKEN_WORKERS": "1025"}, want: "--workers=1025: use a number from 1 to 1024"},
		"more workers than can be":     {env: environment{"APPTOKEN_WORKERS": "99999999999999999999"}, want: `APPTOKEN_WORKERS="99999999999999999999": use a whole number, for example 6`},
		"a duration without its unit":  {args: []string{"--shutdown-delay=5"}, want: `--shutdown-delay="5": use a duration in h, m and s, for example 5s; see --help`},
		"no level":                     {args: []string{"--log-level="}, want: `--log-level="": use error, info or debug`},
		"a level as a number":          {args: []string{"--log-level=9"}, want: `--log-level="9": use error, info or debug`},
		"a level that would show more": {args: []string{"--log-level=trace"}, want: `--log-level="trace": use error, info or debug`},
		"all mistakes at once, in order": {
			args: []string{"--metrics-bind-address=a", "--health-probe-bind-address=b", "--namespace=C", "--namespaces=D,e,F", "--workers=0", "--log-level=loud"},
			want: `--metrics-bind-address="a": use host:port or :port, or 0 for none
--health-probe-bind-address="b": use host:port or :port, or 0 for none
--namespace: "C" is not a valid namespace name` + namespaceForm + `
--namespaces: "D" is not a valid namespace name` + namespaceForm + `
--namespaces: "F" is not a valid namespace name` + namespaceForm + `
--workers=0: use a number from 1 to 1024
--log-level="loud": use error, info or debug`,
		},
		"all bad variables at once": {
			env: environment{"APPTOKEN_WORKERS": "x", "APPTOKEN_LEADER_ELECT": "x"},
			want: `APPTOKEN_LEADER_ELECT="x": use true or false, for example false
APPTOKEN_WORKERS="x": use a whole number, for example 6`,
		},
	} {
		t.Run(sentence, func(t *testing.T) { assertParseError(t, c.args, c.env, c.want) })
	}
}

// helpText returns the output of --help.
func helpText(t *testing.T, env environment) string {
	t.Helper()
	_, err := options.Parse([]string{"--help"}, env.get)
	text, ok := errors.AsType[options.Help](err)
	if !ok {
		t.Fatalf("the error is %v", err)
	}
	return string(text)
}

func TestHelp_ListsEveryFlag(t *testing.T) {
	golden, err := os.ReadFile(filepath.Join("testdata", "help.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if got := helpText(t, nil); got != string(golden) {
		t.Errorf("testdata/help.txt is not what --help says:\n%s", got)
	}
	shown := regexp.MustCompile(`(?m)^ {6}--([a-z-]+)`).FindAllStringSubmatch(string(golden), -1)
	if len(shown) != len(flagRows)+len(dependentFlags) {
		t.Errorf("it lists %d flags of %d", len(shown), len(flagRows)+len(dependentFlags))
	}
	for _, flag := range shown {
		if _, ok := flagRows[flag[1]]; !ok && !slices.Contains(dependentFlags, flag[1]) {
			t.Errorf("--%s is not in the table of this test", flag[1])
		}
	}
	if got := helpText(t, environment{"POD_NAMESPACE": "pod"}); !strings.Contains(got, `(default "pod")`) {
		t.Errorf("it does not name the namespace of the pod:\n%s", got)
	}
	// Help is printed whatever else is wrong.
	for _, args := range [][]string{{"-h"}, {"--workers=0", "--help"}, {"run", "--help"}} {
		_, err := options.Parse(args, environment{"APPTOKEN_WORKERS": "x"}.get)
		if _, ok := errors.AsType[options.Help](err); !ok {
			t.Errorf("%v: %v", args, err)
		}
	}
}

func TestHelp_MatchesManual(t *testing.T) {
	manual, err := os.ReadFile(filepath.Join(controlplane.Root(), "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(helpText(t, nil)), " ")
	rows := regexp.MustCompile("(?m)^\\| `--([a-z-]+)` \\| (.*?) ?\\| (.*) \\|$").FindAllStringSubmatch(string(manual), -1)
	if len(rows) != len(flagRows)+len(dependentFlags) {
		t.Errorf("the manual has %d flags of %d", len(rows), len(flagRows)+len(dependentFlags))
	}
	for _, row := range rows {
		said := row[3]
		switch value := strings.Trim(row[2], "`"); value {
		case "", "false", "0s":
		case "5s", "1h0m0s", "6", "10", "50", "1024", "4096":
			said += " (default " + value + ")"
		default:
			said += fmt.Sprintf(" (default %q)", value)
		}
		if !strings.Contains(text, said) {
			t.Errorf("the manual says of --%s what --help does not: %s", row[1], said)
		}
	}
}
