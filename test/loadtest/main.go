// Bench measures the operator on a real kube-apiserver and etcd. It prints each measurement beside
// a limit of the same machine in the same run. Such a limit is the time of the same writes without
// an operator, or of a bare request meanwhile.
//
//	token       time to mint, parse and digest a token
//	index       memory of a record in the index, and time to verify with it
//	endpoints   responses per second of verification endpoints, beside handlers that answer
//	            at once
//	write       many tokens applied at once, until all are Ready, beside the same writes by
//	            plain clients
//	quota       the same with a maxCount that is used up, beside one that is far away
//	idle        writes and processor time of the operator while nothing changes
//	rotate      rotation of all tokens at once, while new tokens are declared
//	neighbours  time of new tokens beside a namespace that asks for as much work as it may,
//	            and alone
//	logins      logins, refreshes, logouts and new application tokens, beside the bare hash
//	            and the same writes by plain clients
//	replicas    time until every replica knows that a token is issued, revoked, suspended or
//	            deleted, and pause of rotations until another replica leads
//	start       start with many records in the API server, until the operator is ready to serve
//
// No time makes the program fail: it prints a missed goal as missed. The operator runs as a process
// of its own, built from this source unless -manager names a program. The control plane and the
// clients run beside it on the same cores.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
)

// section is one part of the benchmark.
type section struct {
	name string
	run  func(context.Context, *bench) error
}

// sections are in the order of a run. idle and rotate share their tokens; every other section that
// needs a control plane starts a new one.
var sections = []section{
	{"token", measureToken},
	{"index", measureIndex},
	{"endpoints", measureEndpoints},
	{"write", measureWrite},
	{"quota", measureQuota},
	{"idle", measureIdle},
	{"rotate", measureRotate},
	{"neighbours", measureNeighbours},
	{"logins", measureLogins},
	{"replicas", measureReplicas},
	{"start", measureStart},
}

// options holds the sizes of a run. The goals are for the default sizes.
type options struct {
	only      []string
	json      string
	page      string
	manager   string
	tokens    int
	clients   int
	maxCount  int
	idle      time.Duration
	probe     time.Duration
	hostile   int
	schedule  bool
	records   int
	index     []int
	endpoints []int
	turn      time.Duration
	turns     int
	rounds    int
	replicas  int
	takeovers int

	loginTurn time.Duration
	holders   int
	parallel  int
}

func parseOptions(args []string, stderr io.Writer) (options, error) {
	o := options{index: []int{1_000, 1_000_000}, endpoints: []int{1_000, 1_000_000}}
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Func("only", "comma-separated `names` of the sections to run: "+sectionNames()+" (default all)", func(s string) error {
		o.only = strings.Split(s, ",")
		for _, name := range o.only {
			if !slices.ContainsFunc(sections, func(s section) bool { return s.name == name }) {
				return fmt.Errorf("there is no section %q", name)
			}
		}
		return nil
	})
	fs.StringVar(&o.json, "json", "bench.json", "`file` for the results; empty for none")
	fs.StringVar(&o.page, "page", "", "`file` whose tables are replaced by those of the sections that ran; empty for none")
	fs.StringVar(&o.manager, "manager", "", "`program` of the operator (default: built from this source)")
	fs.IntVar(&o.tokens, "tokens", 10_000, "write, idle, rotate: how many ApplicationTokens")
	fs.IntVar(&o.clients, "clients", 16, "number of clients that apply them in parallel; by default the operator has 6 workers, and 24 for urgent tokens")
	fs.IntVar(&o.maxCount, "max-count", 0, "spec.tokens.maxCount of the Client; 0 for one that is never reached")
	fs.DurationVar(&o.idle, "idle", time.Minute, "idle, neighbours: how long to look on")
	fs.DurationVar(&o.probe, "probe", 100*time.Millisecond, "rotate, neighbours: a new token each")
	fs.IntVar(&o.hostile, "hostile", 1000, "neighbours: how many tokens the hostile namespace has")
	fs.BoolVar(&o.schedule, "schedule", true, "rotate: by schedule too, which waits for the instant some minutes ahead")
	fs.IntVar(&o.records, "records", 100_000, "start: how many TokenRecords")
	fs.DurationVar(&o.turn, "turn", time.Second, "endpoints: how long each contender is asked at a time")
	fs.IntVar(&o.turns, "turns", 7, "endpoints, logins: how many times each has its turn")
	fs.IntVar(&o.rounds, "rounds", 1000, "replicas: how many of each")
	fs.IntVar(&o.replicas, "replicas", 3, "replicas: how many replicas")
	fs.IntVar(&o.takeovers, "takeovers", 10, "replicas: how often the leader ends, in order and by force")
	fs.DurationVar(&o.loginTurn, "login-turn", 5*time.Second, "logins: how long it is logged in at a time, and hashed bare")
	fs.IntVar(&o.holders, "holders", 400, "logins: how many logins are refreshed and ended in each turn; as many tokens are made")
	fs.IntVar(&o.parallel, "parallel", 500, "logins: how many come at once when the memory is looked at")
	for name, list := range map[string]*[]int{"index": &o.index, "endpoints": &o.endpoints} {
		fs.Func(name, name+": comma-separated `sizes` (default 1000,1000000)", func(s string) error {
			*list = nil
			for size := range strings.SplitSeq(s, ",") {
				n, err := strconv.Atoi(size)
				if err != nil || n < 1 {
					return fmt.Errorf("no size: %q", size)
				}
				*list = append(*list, n)
			}
			return nil
		})
	}
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	least := min(o.tokens, o.clients, o.records, o.rounds, o.turns, o.replicas, o.takeovers, o.holders, o.parallel, o.hostile)
	if fs.NArg() > 0 || least < 1 || o.probe <= 0 || o.loginTurn <= 0 || o.maxCount < 0 {
		return o, errors.New("every size is a number greater than zero, and there are no arguments beside the flags")
	}
	return o, nil
}

func sectionNames() string {
	var list []string
	for _, s := range sections {
		list = append(list, s.name)
	}
	return strings.Join(list, ",")
}

func main() {
	// SIGPIPE too: if the reader of the output is gone, the operator and the control plane must
	// still be stopped.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run executes the sections. It prints the tables to stdout and the progress to stderr. After an
// error it still prints and saves what was measured before.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o, err := parseOptions(args, stderr)
	if err != nil {
		return err
	}
	quietly := zap.New(zap.WriteTo(io.Discard))
	ctrl.SetLogger(quietly)
	klog.SetLogger(quietly)
	b := &bench{options: o, progress: progress{to: stderr, began: time.Now()}, report: report{environment: describeMachine()}}
	defer func() { err = errors.Join(err, b.close()) }()
	var complete []string
	for _, s := range sections {
		if len(o.only) > 0 && !slices.Contains(o.only, s.name) {
			continue
		}
		b.logf("%s: begins", s.name)
		b.report.part = s.name
		if err = s.run(ctx, b); err != nil {
			err = fmt.Errorf("%s: %w", s.name, err)
			break
		}
		complete = append(complete, s.name)
	}
	b.report.print(stdout)
	return errors.Join(err, b.report.save(o.json), b.report.publish(o.page, complete))
}
