package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/apptoken/operator/test/cluster"
)

// bench is one run: its sizes, its results, and the testbed of the current section.
type bench struct {
	options
	progress
	report  report
	folder  string // of this run only; removed at its end
	testbed *testbed
	cost    float64 // writes per token from declared to Ready and at rest, the declaration included; 0: not measured
}

// newTestbed tears the current testbed down, and returns a new one without tokens and without an
// operator.
func (b *bench) newTestbed(ctx context.Context) (*testbed, error) {
	if err := b.tearDown(); err != nil {
		return nil, err
	}
	program, err := b.operatorProgram(ctx)
	if err != nil {
		return nil, err
	}
	b.logf("a control plane starts")
	b.testbed, err = startTestbed(ctx, testbedConfig{
		program: program, folder: b.folder, clients: b.clients, tokens: b.tokens, maxCount: b.maxCount, probe: b.options.probe,
	}, b.progress)
	if err == nil && b.report.Kubernetes == "" {
		b.report.Kubernetes, err = b.testbed.kubernetesVersion(ctx)
	}
	return b.testbed, err
}

// populatedTestbed returns a testbed on which all tokens are Ready and everything is at rest. It
// returns the current testbed if that is in this state, and builds another otherwise.
func (b *bench) populatedTestbed(ctx context.Context) (*testbed, error) {
	if b.testbed != nil && b.cost > 0 && b.testbed.operator != nil {
		return b.testbed, nil
	}
	s, err := b.newTestbed(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.startOperator(ctx); err != nil {
		return nil, err
	}
	before, err := s.writes(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.declareAll(ctx); err != nil {
		return nil, err
	}
	if _, err := s.tokens.wait(ctx, "Ready", b.tokens, isReady); err != nil {
		return nil, err
	}
	after, err := s.waitQuiet(ctx)
	if err != nil {
		return nil, err
	}
	b.cost = float64(after.since(before).total()) / float64(b.tokens)
	return s, nil
}

// operatorProgram returns the path of the operator's program. Without -manager it builds the
// program once a run, so that the current source is measured.
func (b *bench) operatorProgram(ctx context.Context) (string, error) {
	if b.manager != "" {
		return filepath.Abs(b.manager)
	}
	if b.folder == "" {
		folder, err := os.MkdirTemp("", "apptoken-bench-")
		if err != nil {
			return "", err
		}
		b.folder = folder
	}
	program := filepath.Join(b.folder, "manager")
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	b.logf("the operator is built")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", program, ".")
	build.Dir = cluster.Root()
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the operator: %w\n%s", err, out)
	}
	return program, nil
}

// tearDown tears the testbed down.
func (b *bench) tearDown() error {
	if b.testbed == nil {
		return nil
	}
	err := b.testbed.teardown()
	b.testbed, b.cost = nil, 0
	return err
}

// close tears the testbed down, and removes the folder of this run.
func (b *bench) close() error {
	err := b.tearDown()
	if b.folder != "" {
		err = errors.Join(err, os.RemoveAll(b.folder))
	}
	return err
}

// progress writes how far the run is, with the time since its start.
type progress struct {
	to    io.Writer
	began time.Time
}

func (p progress) logf(format string, args ...any) {
	fmt.Fprintf(p.to, "%6.1fs  %s\n", time.Since(p.began).Seconds(), fmt.Sprintf(format, args...))
}

// turnsOf returns the plan of a comparison whose turns last as long as turn.
func (b *bench) turnsOf(turn time.Duration) turnPlan {
	return turnPlan{turns: b.turns, turn: turn, logf: b.logf}
}

// sleep waits for d, or until ctx ends. In the latter case it returns the cause.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
