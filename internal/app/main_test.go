package app_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/util/wait"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/internal/app"
	"github.com/apptoken/operator/internal/app/options"
	"github.com/apptoken/operator/internal/testing/controlplane"
)

// Fixtures of the tests that need a cluster with the kinds installed.
var (
	testCluster *controlplane.Cluster
	api         client.Client // with every right, and no cache
)

// actAsOperator is the variable that makes this program the operator, so that its exit code and
// output are real.
const actAsOperator = "ACT_AS_OPERATOR"

func TestMain(m *testing.M) {
	if os.Getenv(actAsOperator) != "" {
		os.Exit(app.Main(ctrl.SetupSignalHandler(), os.Args[1:], os.Stderr)) // as main.go does
	}
	controlplane.Main(m, connect)
}

func connect(c *controlplane.Cluster) (err error) {
	ctrl.SetLogger(logr.Discard())
	testCluster = c
	api, err = client.New(c.Admin, client.Options{Scheme: app.Scheme()})
	return err
}

// environment is an environment in which only these variables are set.
type environment map[string]string

// defaultOptions returns the options of an operator without flags.
func defaultOptions() options.Options {
	o, err := options.Parse(nil, func(string) string { return "" })
	if err != nil {
		panic(err)
	}
	return o
}

// process is the operator as a process, with arguments, an environment, a stderr and an exit code.
type process struct {
	t   *testing.T
	cmd *exec.Cmd

	mu     sync.Mutex
	output bytes.Buffer
}

// Write implements io.Writer for the output of the process.
func (p *process) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.Write(text)
}

func (p *process) stderr() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.String()
}

// startProcess runs the operator. Its environment holds nothing but env and an empty home.
func startProcess(t *testing.T, env environment, args ...string) *process {
	t.Helper()
	// The test's own context ends the process too early to see its end.
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	p := &process{t: t, cmd: exec.CommandContext(ctx, os.Args[0], args...)}
	p.cmd.Env = []string{actAsOperator + "=1", "HOME=" + t.TempDir()}
	for name, value := range env {
		p.cmd.Env = append(p.cmd.Env, name+"="+value)
	}
	p.cmd.Stdout, p.cmd.Stderr = p, p
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// assertExit waits for the end of the process, and asserts its exit code and its final output. The
// output must be for users: no stack, and no line that is neither JSON nor an error message of the
// operator.
func (p *process) assertExit(code int, last ...string) {
	p.t.Helper()
	err := p.cmd.Wait()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		p.t.Fatal(err)
	}
	said := p.stderr()
	if got := p.cmd.ProcessState.ExitCode(); got != code {
		p.t.Errorf("the exit code is %d, want %d, after\n%s", got, code, said)
	}
	for _, sign := range []string{"goroutine ", "panic:", ".go:"} {
		if strings.Contains(p.finalOutput(), sign) || strings.Contains(said, "\ngoroutine ") {
			p.t.Errorf("its user sees the inside of the program, %q:\n%s", sign, said)
		}
	}
	for _, text := range last {
		if !strings.Contains(p.finalOutput(), text) {
			p.t.Errorf("at last it says\n%s\nwant %q in it", p.finalOutput(), text)
		}
	}
}

// finalOutput returns the output that is no log line.
func (p *process) finalOutput() string {
	var text strings.Builder
	for line := range strings.Lines(p.stderr()) {
		if !strings.HasPrefix(line, "{") {
			text.WriteString(line)
		}
	}
	return text.String()
}

// stop sends SIGTERM to the process, as the kubelet does.
func (p *process) stop() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
}

// waitForOK waits until the process answers 200 at a URL, and returns the body.
func (p *process) waitForOK(url string) string {
	p.t.Helper()
	var body string
	err := wait.PollUntilContextTimeout(p.t.Context(), 20*time.Millisecond, 2*time.Minute, true, func(ctx context.Context) (bool, error) {
		var status int
		status, body = getURL(ctx, url)
		return status == http.StatusOK, nil
	})
	if err != nil {
		p.t.Fatalf("waited in vain for %s, which says %q: %v\n%s", url, body, err, p.stderr())
	}
	return body
}

// getURL returns the status and the body at a URL; status 0 if there is no response.
func getURL(ctx context.Context, url string) (int, string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err.Error()
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(answer.Body); err != nil {
		return 0, err.Error()
	}
	return answer.StatusCode, body.String()
}

// freeAddress returns a loopback address on which nothing listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l := listenLoopback(t)
	defer l.Close()
	return l.Addr().String()
}

func listenLoopback(t *testing.T) net.Listener {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// writeTempFile returns the path of a new file with that content.
func writeTempFile(t *testing.T, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
