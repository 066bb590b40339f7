package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/apptoken/operator/internal/app/logging"
	"github.com/apptoken/operator/internal/app/options"
	"github.com/apptoken/operator/internal/audit"
)

// Exit codes of Main.
const (
	exitOK    = 0
	exitError = 1 // the operator could not start, or ended by itself
	exitUsage = 2 // a flag or a variable is invalid
)

// Main runs the operator until ctx ends, and returns the exit code of the process.
func Main(ctx context.Context, args []string, stderr io.Writer) int {
	terminal := logging.Redactor{To: stderr} // a token typed in the wrong place is not printed
	o, err := options.Parse(args, os.Getenv)
	if help, ok := errors.AsType[options.Help](err); ok {
		fmt.Fprint(terminal, help)
		return exitOK
	}
	if err != nil {
		fmt.Fprintln(terminal, "apptoken-operator:", err)
		return exitUsage
	}
	// There is no log yet: controller-runtime would log a stack about a cluster that is not found,
	// and the error says it in one line.
	config, err := findCluster()
	if err != nil {
		fmt.Fprintln(terminal, "apptoken-operator:", err)
		return exitError
	}
	log := NewLogger(o, stderr)
	ctrl.SetLogger(log)
	klog.SetLogger(log)
	if err := Run(ctx, config, o); err != nil {
		fmt.Fprintln(terminal, "apptoken-operator:", err)
		return exitError
	}
	return exitOK
}

// NewLogger returns the operator's log, at the level in o.
func NewLogger(o options.Options, to io.Writer) logr.Logger { return logging.New(o.LogLevel, to) }

// newAuditLog returns the operator's audit log. It is separate from the log and independent of its
// level, and contains no token.
func newAuditLog(to io.Writer) *audit.Log {
	if to == nil {
		to = os.Stderr
	}
	return audit.New(logging.Redactor{To: to}, time.Now)
}

// findCluster returns the configuration of the cluster in whose pod this process runs, or which the
// kubeconfig names.
func findCluster() (*rest.Config, error) {
	config, err := ctrl.GetConfig()
	if clientcmd.IsEmptyConfig(err) { // the original error recommends an obsolete variable
		return nil, errors.New("find the cluster: this process runs in no pod, and neither the file that KUBECONFIG names nor ~/.kube/config has a cluster; set KUBECONFIG to the kubeconfig file of a cluster")
	}
	if err != nil {
		return nil, fmt.Errorf("find the cluster: %w; set KUBECONFIG to the kubeconfig file of a cluster", err)
	}
	return config, nil
}

// Run runs the operator in a cluster until ctx ends.
func Run(ctx context.Context, config *rest.Config, o options.Options) error {
	op, err := NewOperator(ctx, config, o)
	if ctx.Err() != nil {
		return nil //nolint:nilerr // the operator was stopped while it waited for the API server
	}
	if err != nil {
		return err
	}
	return op.Manager.Start(ctx)
}
