package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"go.uber.org/zap/zapcore"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"github.com/apptoken/operator/internal/token"
)

// Exit codes of Main.
const (
	exitOK    = 0
	exitError = 1 // it could not start, or ended by itself
	exitUsage = 2 // a flag or a variable is wrong
)

// levels of the log, by the names of --log-level. Debug is everything that there is.
var levels = map[string]zapcore.Level{"error": zapcore.ErrorLevel, "info": zapcore.InfoLevel, "debug": zapcore.Level(-10)}

// Main runs the operator until ctx ends, and returns the exit code of the process.
func Main(ctx context.Context, args []string, stderr io.Writer) int {
	o, err := ParseOptions(args, os.Getenv)
	if help, ok := errors.AsType[Help](err); ok {
		fmt.Fprint(stderr, help)
		return exitOK
	}
	if err != nil {
		fmt.Fprintln(stderr, "apptoken-operator:", err)
		return exitUsage
	}
	log := zap.New(zap.WriteTo(redactor{stderr}), zap.Level(levels[o.LogLevel]), zap.JSONEncoder())
	ctrl.SetLogger(log)
	klog.SetLogger(log)
	if err := Run(ctx, o); err != nil {
		fmt.Fprintln(redactor{stderr}, "apptoken-operator:", err)
		return exitError
	}
	return exitOK
}

// Run finds the cluster, and runs the operator in it until ctx ends.
func Run(ctx context.Context, o Options) error {
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("find the cluster: %w", err)
	}
	op, err := NewOperator(ctx, config, o)
	if err != nil {
		return err
	}
	return op.Manager.Start(ctx)
}

// redactor is the last net under the log: no token passes it, whoever's error it was in.
type redactor struct{ to io.Writer }

// Write implements io.Writer.
func (r redactor) Write(line []byte) (int, error) {
	if _, err := io.WriteString(r.to, token.Redact(string(line))); err != nil {
		return 0, err
	}
	return len(line), nil
}
