// Loadtest measures the operator on a real kube-apiserver and etcd. It prints each measurement
// beside a limit of the same machine in the same run. Such a limit is the time of the same writes
// without an operator, or of a bare request meanwhile.
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
	"syscall"
	"time"

	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"github.com/apptoken/operator/test/loadtest/report"
	"github.com/apptoken/operator/test/loadtest/scenario"
)

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
	o, err := parseFlags(args, stderr)
	if err != nil {
		return err
	}
	discard := zap.New(zap.WriteTo(io.Discard))
	ctrl.SetLogger(discard)
	klog.SetLogger(discard)
	b := &scenario.Run{Options: o.Options, Progress: report.Progress{To: stderr, Began: time.Now()}, Report: report.Report{Environment: report.DescribeMachine()}}
	defer func() { err = errors.Join(err, b.Close()) }()
	var complete []string
	for _, s := range sections {
		if len(o.only) > 0 && !slices.Contains(o.only, s.name) {
			continue
		}
		b.Logf("%s: begins", s.name)
		b.Report.Begin(s.name)
		if err = s.run(ctx, b); err != nil {
			err = fmt.Errorf("%s: %w", s.name, err)
			break
		}
		complete = append(complete, s.name)
	}
	b.Report.Print(stdout)
	return errors.Join(err, b.Report.Save(o.json), b.Report.Publish(o.page, complete))
}
