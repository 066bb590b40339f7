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
)

// settings is what the flags say: the sizes, which sections run, and where the results go.
type settings struct {
	options
	only []string
	json string
	page string
}

func parseFlags(args []string, stderr io.Writer) (settings, error) {
	o := settings{options: options{index: []int{1_000, 1_000_000}, endpoints: []int{1_000, 1_000_000}}}
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(stderr)
	o.addRunFlags(fs)
	addTokenFlags(fs, &o.options)
	addEndpointFlags(fs, &o.options)
	addReplicaFlags(fs, &o.options)
	addLoginFlags(fs, &o.options)
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	least := min(o.tokens, o.clients, o.records, o.rounds, o.turns, o.replicas, o.takeovers, o.holders, o.parallel, o.hostile)
	if fs.NArg() > 0 || least < 1 || o.probe <= 0 || o.loginTurn <= 0 || o.maxCount < 0 {
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
	fs.StringVar(&o.manager, "manager", "", "`program` of the operator (default: built from this source)")
}

func addTokenFlags(fs *flag.FlagSet, o *options) {
	fs.IntVar(&o.tokens, "tokens", 10_000, "write, idle, rotate: number of ApplicationTokens")
	fs.IntVar(&o.clients, "clients", 16, "number of clients that apply them in parallel; by default the operator has 6 workers, and 24 for urgent tokens")
	fs.IntVar(&o.maxCount, "max-count", 0, "spec.tokens.maxCount of the Client; 0 for a limit that is never reached")
	fs.DurationVar(&o.idle, "idle", time.Minute, "idle, neighbours: duration of the measurement")
	fs.DurationVar(&o.probe, "probe", 100*time.Millisecond, "rotate, neighbours: interval between new tokens")
	fs.IntVar(&o.hostile, "hostile", 1000, "neighbours: number of tokens in the hostile namespace")
	fs.BoolVar(&o.schedule, "schedule", true, "rotate: also by schedule, which waits some minutes for its instant")
	fs.IntVar(&o.records, "records", 100_000, "start: number of TokenRecords")
}

func addEndpointFlags(fs *flag.FlagSet, o *options) {
	fs.DurationVar(&o.turn, "turn", time.Second, "endpoints: duration of each target's turn")
	fs.IntVar(&o.turns, "turns", 7, "endpoints, logins: number of turns of each target")
	for name, list := range map[string]*[]int{"index": &o.index, "endpoints": &o.endpoints} {
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

func addReplicaFlags(fs *flag.FlagSet, o *options) {
	fs.IntVar(&o.rounds, "rounds", 1000, "replicas: number of tokens that are issued and invalidated")
	fs.IntVar(&o.replicas, "replicas", 3, "replicas: number of replicas")
	fs.IntVar(&o.takeovers, "takeovers", 10, "replicas: how often the leader ends, gracefully and by force")
}

func addLoginFlags(fs *flag.FlagSet, o *options) {
	fs.DurationVar(&o.loginTurn, "login-turn", 5*time.Second, "logins: duration of a turn of logins, and of a turn of bare hashes")
	fs.IntVar(&o.holders, "holders", 400, "logins: number of logins that are refreshed and ended in each turn, and of tokens that are created")
	fs.IntVar(&o.parallel, "parallel", 500, "logins: number of simultaneous logins in the measurement of memory")
}
