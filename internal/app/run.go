package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/go-logr/logr"
	uberzap "go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"github.com/apptoken/operator/internal/audit"
)

// Exit codes of Main.
const (
	exitOK    = 0
	exitError = 1 // the operator could not start, or ended by itself
	exitUsage = 2 // a flag or a variable is invalid
)

// logLevels holds the levels of the log, keyed by the values of --log-level. Debug ends below 6:
// from 6 on, client-go logs requests, and from 8 on their bodies. Those contain Secrets, in forms
// that no redactor recognizes.
var logLevels = map[string]zapcore.Level{"error": zapcore.ErrorLevel, "info": zapcore.InfoLevel, "debug": zapcore.Level(-5)}

// Main runs the operator until ctx ends, and returns the exit code of the process.
func Main(ctx context.Context, args []string, stderr io.Writer) int {
	terminal := redactor{stderr} // a token typed in the wrong place is not printed
	o, err := ParseOptions(args, os.Getenv)
	if help, ok := errors.AsType[Help](err); ok {
		fmt.Fprint(terminal, help)
		return exitOK
	}
	if err != nil {
		fmt.Fprintln(terminal, "apptoken-operator:", err)
		return exitUsage
	}
	log := NewLogger(o, stderr)
	ctrl.SetLogger(log)
	klog.SetLogger(log)
	if err := Run(ctx, o); err != nil {
		fmt.Fprintln(terminal, "apptoken-operator:", err)
		return exitError
	}
	return exitOK
}

// NewLogger returns the operator's log: JSON, at the level in o, without tokens. Expected conflicts
// are debug lines.
func NewLogger(o Options, to io.Writer) logr.Logger {
	expected := uberzap.WrapCore(func(c zapcore.Core) zapcore.Core { return conflictCore{c} })
	return zap.New(zap.WriteTo(redactor{to}), zap.Level(logLevels[o.LogLevel]), zap.JSONEncoder(encodeRFC3339), zap.RawZapOpts(expected))
}

// encodeRFC3339 sets the format of times to RFC 3339.
func encodeRFC3339(c *zapcore.EncoderConfig) { c.EncodeTime = zapcore.RFC3339NanoTimeEncoder }

// NewAuditLog returns the operator's audit log. It is separate from the log and independent of its
// level, and contains no token.
func NewAuditLog(to io.Writer) *audit.Log {
	if to == nil {
		to = os.Stderr
	}
	return audit.New(redactor{to}, time.Now)
}

// Run finds the cluster, and runs the operator in it until ctx ends.
func Run(ctx context.Context, o Options) error {
	config, err := ctrl.GetConfig()
	if clientcmd.IsEmptyConfig(err) { // the original error recommends an obsolete variable
		return errors.New("find the cluster: this process runs in no pod, and neither the file that KUBECONFIG names nor ~/.kube/config has a cluster")
	}
	if err != nil {
		return fmt.Errorf("find the cluster: %w", err)
	}
	op, err := NewOperator(ctx, config, o)
	if ctx.Err() != nil {
		return nil //nolint:nilerr // the operator was stopped while it waited for the API server
	}
	if err != nil {
		return err
	}
	return op.Manager.Start(ctx)
}
