package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/internal/app"
	"github.com/apptoken/operator/internal/testing/controlplane"
)

// ownNamespace is the namespace of the operator's records.
const ownNamespace = "apptoken-system"

// environment holds what the demo runs on: a control plane, the operator as a process of its own,
// and kubectl.
type environment struct {
	client              client.WithWatch
	folder              string // of this run alone; removed at its end
	kubeconfig          string
	log                 string
	health              string
	endpointAddress     string
	webhook             string
	anonymousKubeconfig string // a kubeconfig file without a credential
	operator            *exec.Cmd
	operatorEnded       chan error // receives the end of the operator
	cluster             *controlplane.Cluster
}

// startEnvironment starts everything. The caller must tear the stage down, also after an error.
func startEnvironment(ctx context.Context, operator string) (*environment, error) {
	s := &environment{operatorEnded: make(chan error, 1)}
	var err error
	if s.folder, err = os.MkdirTemp("", "apptoken-demo-"); err != nil {
		return s, err
	}
	if s.webhook, err = freeAddress(ctx); err != nil {
		return s, err
	}
	if s.cluster, err = controlplane.Start(controlplane.WithTokenWebhook("http://" + s.webhook + "/tokenreview")); err != nil {
		return s, err
	}
	if s.client, err = client.NewWithWatch(s.cluster.Admin, client.Options{Scheme: app.Scheme()}); err != nil {
		return s, fmt.Errorf("reach the cluster: %w", err)
	}
	kubeconfig, err := s.cluster.Kubeconfig()
	if err != nil {
		return s, err
	}
	s.kubeconfig = filepath.Join(s.folder, "kubeconfig")
	s.anonymousKubeconfig = filepath.Join(s.folder, "anonymous")
	for file, content := range map[string][]byte{s.kubeconfig: kubeconfig, s.anonymousKubeconfig: s.cluster.AnonymousKubeconfig()} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			return s, err
		}
	}
	if err := s.client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ownNamespace}}); err != nil {
		return s, fmt.Errorf("create the operator's namespace: %w", err)
	}
	return s, s.startOperator(ctx, operator)
}

func (s *environment) startOperator(ctx context.Context, program string) error {
	var err error
	if s.health, err = freeAddress(ctx); err != nil {
		return err
	}
	if s.endpointAddress, err = freeAddress(ctx); err != nil {
		return err
	}
	s.log = filepath.Join(s.folder, "operator.log")
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	s.operator = exec.Command(program, //nolint:gosec,noctx // built by the reader; teardown ends it
		"--namespace="+ownNamespace, "--metrics-bind-address=127.0.0.1:0", "--health-probe-bind-address="+s.health,
		"--plain-http", "--bind-address="+s.endpointAddress, "--webhook-bind-address="+s.webhook, "--shutdown-delay=0s")
	s.operator.Env = append(os.Environ(), "KUBECONFIG="+s.kubeconfig)
	s.operator.Stdout, s.operator.Stderr = log, log
	// Ctrl-C is for the demo, which ends the operator in order.
	s.operator.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.operator.Start(); err != nil {
		return fmt.Errorf("start the operator: %w", err)
	}
	go func() { s.operatorEnded <- s.operator.Wait() }()
	return s.waitUntil(ctx, "the operator to be ready", func() (bool, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.health+"/readyz", http.NoBody)
		if err != nil {
			return false, err
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return false, nil //nolint:nilerr // not yet listening
		}
		return answer.StatusCode == http.StatusOK, answer.Body.Close()
	})
}

// waitUntil waits for a condition. It returns an error if the operator ends, or after two minutes.
func (s *environment) waitUntil(ctx context.Context, what string, holds func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 2*time.Minute, fmt.Errorf("waited two minutes for %s", what))
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := holds()
		if err != nil {
			return fmt.Errorf("wait for %s: %w", what, err)
		}
		if ok {
			return nil
		}
		select {
		case err := <-s.operatorEnded:
			s.operatorEnded <- err
			return fmt.Errorf("wait for %s: %w", what, s.endError(err))
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// endError returns the error of an operator that ended by itself.
func (s *environment) endError(err error) error {
	how := "without an error"
	if err != nil {
		how = err.Error()
	}
	said, _ := os.ReadFile(s.log) //nolint:errcheck // the log is only additional information
	return fmt.Errorf("the operator ended, %s; the end of its log:\n%s", how, said[max(0, len(said)-2000):])
}

// kubectl runs a command line, and prints it with its output.
func (s *environment) kubectl(ctx context.Context, line string) error {
	return s.kubectlWith(ctx, line, "")
}

// kubectlWith runs a command line in which $TOKEN stands for a token, which is not shown.
func (s *environment) kubectlWith(ctx context.Context, line, text string) error {
	fmt.Println("  $ kubectl", line)
	// The quotes are for the reader's shell.
	line = strings.ReplaceAll(strings.ReplaceAll(line, "'", ""), "$TOKEN", text)
	out, err := s.run(ctx, strings.Fields(line)...)
	for l := range strings.Lines(out) {
		fmt.Print("    ", l)
	}
	return err
}

func (s *environment) run(ctx context.Context, args ...string) (string, error) {
	command := exec.CommandContext(ctx, filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl"), args...) //nolint:gosec // of the control plane
	command.Env = append(os.Environ(), "KUBECONFIG="+s.kubeconfig)
	command.Dir = controlplane.Root()
	out, err := command.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("kubectl: %w", err)
	}
	return string(out), nil
}

// teardown ends everything that build started, in the opposite order, and leaves nothing behind.
func (s *environment) teardown() error {
	var errs []error
	if s.operator != nil && s.operator.Process != nil {
		if err := s.operator.Process.Signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
			errs = append(errs, err)
		}
		select {
		case <-s.operatorEnded:
		case <-time.After(40 * time.Second):
			errs = append(errs, s.operator.Process.Kill())
		}
	}
	if s.cluster != nil {
		errs = append(errs, s.cluster.Stop())
	}
	if s.folder != "" {
		errs = append(errs, os.RemoveAll(s.folder))
	}
	return errors.Join(errs...)
}

func freeAddress(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
