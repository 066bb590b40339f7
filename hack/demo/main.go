// Demo shows the operator at work on a real kube-apiserver and etcd, as a short story on the
// screen. It then stays, so that a user can try commands from another terminal. With --once it ends
// after the story.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	once := flag.Bool("once", false, "exit after the story")
	operator := flag.String("manager", "bin/manager", "`program` of the operator")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	err := runDemo(ctx, *operator, *once)
	if err != nil && !(errors.Is(err, context.Canceled) && ctx.Err() != nil) {
		fmt.Fprintln(os.Stderr, "demo:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop was called
	}
}
