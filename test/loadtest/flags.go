package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apptoken/operator/test/loadtest/scenario"
	"github.com/apptoken/operator/test/loadtest/scenario/logins"
)

// settings holds the values of the flags: the sizes, which sections run, and where the results go.
type settings struct {
	scenario.Options
	only []string
	json string
	page string
}

func parseFlags(args []string, stderr io.Writer) (settings, error) {
	o := settings{Options: scenario.Options{Index: []int{1_000, 1_000_000}, Endpoints: []int{1_000, 1_000_000}}}
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(stderr)
	o.addRunFlags(fs)
	addTokenFlags(fs, &o.Options)
	addEndpointFlags(fs, &o.Options)
	addReplicaFlags(fs, &o.Options)
	addLoginFlags(fs, &o.Options)
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	least := min(o.Tokens, o.Clients, o.Records, o.Rounds, o.Turns, o.Replicas, o.Takeovers, o.Holders, o.Parallel, o.Hostile)
	if o.Sessions <= logins.FewSessionTokens || o.Sessions > 10_000 {
		return o, errors.New("-sessions is a number from 11 to 10000")
	}
	if fs.NArg() > 0 || least < 1 || o.Probe <= 0 || o.LoginTurn <= 0 || o.MaxCount < 0 {
		return o, errors.New("every size is a number greater than zero, and there are no arguments beside the flags")
	}
	return o, nil
}

func (o *settings) addRunFlags(fs *flag.FlagSet) {
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
	fs.StringVar(&o.Manager, "manager", "", "`program` of the operator (default: built from this source)")
}

func addTokenFlags(fs *flag.FlagSet, o *scenario.Options) {
	fs.IntVar(&o.Tokens, "tokens", 10_000, "write, idle, rotate: number of ApplicationTokens")
	fs.IntVar(&o.Clients, "clients", 16, "number of clients that apply them in parallel; by default the operator has 6 workers, and 24 for urgent tokens")
	fs.IntVar(&o.MaxCount, "max-count", 0, "spec.tokens.maxCount of the Client; 0 for a limit that is never reached")
	fs.DurationVar(&o.Idle, "idle", time.Minute, "idle, neighbours: duration of the measurement")
	fs.DurationVar(&o.Probe, "probe", 100*time.Millisecond, "rotate, neighbours: interval between new tokens")
	fs.IntVar(&o.Hostile, "hostile", 1000, "neighbours: number of tokens in the hostile namespace")
	fs.BoolVar(&o.Schedule, "schedule", true, "rotate: also by schedule, which waits some minutes for its instant")
	fs.IntVar(&o.Records, "records", 100_000, "start: number of TokenRecords")
}

func addEndpointFlags(fs *flag.FlagSet, o *scenario.Options) {
	fs.DurationVar(&o.Turn, "turn", time.Second, "endpoints: duration of each target's turn")
	fs.IntVar(&o.Turns, "turns", 7, "endpoints, logins, sessions: number of turns of each target")
	for name, list := range map[string]*[]int{"index": &o.Index, "endpoints": &o.Endpoints} {
		fs.Func(name, name+": comma-separated `sizes` (default 1000,1000000)", func(s string) error {
			*list = nil
			for size := range strings.SplitSeq(s, ",") {
				n, err := strconv.Atoi(size)
				if err != nil || n < 1 {
					return fmt.Errorf("invalid size %q: use a number greater than zero", size)
				}
				*list = append(*list, n)
			}
			return nil
		})
	}
}

func addReplicaFlags(fs *flag.FlagSet, o *scenario.Options) {
	fs.IntVar(&o.Rounds, "rounds", 1000, "replicas: number of tokens that are issued and invalidated")
	fs.IntVar(&o.Replicas, "replicas", 3, "replicas: number of replicas")
	fs.IntVar(&o.Takeovers, "takeovers", 10, "replicas: how often the leader ends, gracefully and by force")
}

func addLoginFlags(fs *flag.FlagSet, o *scenario.Options) {
	fs.DurationVar(&o.LoginTurn, "login-turn", 5*time.Second, "logins: duration of a turn of logins, and of a turn of bare hashes")
	fs.IntVar(&o.Holders, "holders", 400, "logins: number of logins that are refreshed and ended in each turn, and of tokens that are created")
	fs.IntVar(&o.Parallel, "parallel", 500, "logins: number of simultaneous logins in the measurement of memory")
	fs.IntVar(&o.Sessions, "sessions", 1000, "sessions: number of session tokens of one user, more than 10 and at most 10000")
}
