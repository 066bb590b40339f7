package testbed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/apptoken/operator/test/loadtest/load"
)

// Operator is the operator as a process of its own.
type Operator struct {
	command    *exec.Cmd
	log        string
	health     string
	metrics    string
	ReadyAfter time.Duration // from its start until /readyz succeeded
	ended      chan struct{} // closed when the process has ended
	result     error         // of the process; set before ended is closed
}

// StartOperator starts the operator of the testbed, and waits until it is ready.
func (s *Testbed) StartOperator(ctx context.Context, flags ...string) error {
	var err error
	s.Operator, err = s.Launch(ctx, "operator", flags...)
	return err
}

// StopOperator stops the operator gracefully, if it runs.
func (s *Testbed) StopOperator() error {
	o := s.Operator
	s.Operator = nil
	return o.Stop()
}

// Launch starts the program, and waits until /readyz succeeds. The caller must stop what it
// returns, also after an error.
func (s *Testbed) Launch(ctx context.Context, name string, flags ...string) (*Operator, error) {
	health, err := FreeAddress(ctx)
	if err != nil {
		return nil, err
	}
	metrics, err := FreeAddress(ctx)
	if err != nil {
		return nil, err
	}
	o := &Operator{health: health, metrics: metrics, log: filepath.Join(s.folder, name+".log"), ended: make(chan struct{})}
	log, err := os.OpenFile(o.log, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	flags = append(flags, "--namespace="+OwnNamespace, "--metrics-bind-address="+metrics, "--health-probe-bind-address="+health)
	o.command = exec.Command(s.Program, flags...) //nolint:noctx // stop ends it
	o.command.Env = append(append(os.Environ(), "KUBECONFIG="+s.kubeconfig), s.Variables...)
	o.command.Stdout, o.command.Stderr = log, log
	o.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C reaches this program only, which stops the operator gracefully
	began := time.Now()
	if err := o.command.Start(); err != nil {
		return nil, fmt.Errorf("start the operator: %w", err)
	}
	go func() {
		o.result = o.command.Wait()
		close(o.ended)
	}()
	for {
		if err := o.CheckAlive(); err != nil {
			return o, err
		}
		if _, err := fetchBody(ctx, "http://"+health+"/readyz"); err == nil {
			o.ReadyAfter = time.Since(began)
			return o, nil
		}
		if time.Since(began) > 10*time.Minute {
			return o, errors.New("the operator was not ready after ten minutes")
		}
		if err := load.Sleep(ctx, 20*time.Millisecond); err != nil {
			return o, err
		}
	}
}

// Pid returns the process id of the operator.
func (o *Operator) Pid() int { return o.command.Process.Pid }

// Stop stops the operator gracefully, and kills it after a minute.
func (o *Operator) Stop() error {
	if o == nil {
		return nil
	}
	if err := o.command.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("end the operator: %w", err)
	}
	select {
	case <-o.ended:
		return nil
	case <-time.After(time.Minute):
		return errors.Join(errors.New("the operator did not end within a minute"), o.command.Process.Kill())
	}
}

// Kill ends the operator at once, as the loss of its node would.
func (o *Operator) Kill() error {
	if err := o.command.Process.Kill(); err != nil {
		return fmt.Errorf("kill the operator: %w", err)
	}
	<-o.ended
	return nil
}

// CheckAlive returns an error with the end of the log if the operator has ended.
func (o *Operator) CheckAlive() error {
	select {
	case <-o.ended:
		text, _ := os.ReadFile(o.log) //nolint:errcheck // the log only helps to find the reason
		return fmt.Errorf("the operator ended: %w\n%s", o.result, text[max(0, len(text)-2000):])
	default:
		return nil
	}
}

// LoggedErrors returns how many errors the operator has logged.
func (o *Operator) LoggedErrors() (int, error) {
	text, err := os.ReadFile(o.log)
	return bytes.Count(text, []byte(`"level":"error"`)), err
}

// Metric returns the sum of the samples of that name whose labels contain a text.
func (o *Operator) Metric(ctx context.Context, name, labels string) (float64, error) {
	body, err := fetchBody(ctx, "http://"+o.metrics+"/metrics")
	if err != nil {
		return 0, fmt.Errorf("ask the operator for its metrics: %w", err)
	}
	var sum float64
	for line := range strings.Lines(body) {
		series, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if base, _, _ := strings.Cut(series, "{"); ok && base == name && strings.Contains(series, labels) {
			v, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return 0, fmt.Errorf("read the metric %s: %w", name, err)
			}
			sum += v
		}
	}
	return sum, nil
}

func fetchBody(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return "", err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s answers %s", url, answer.Status)
	}
	body, err := io.ReadAll(answer.Body)
	return string(body), err
}

// FreeAddress returns an address on loopback at which nothing listens.
func FreeAddress(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
