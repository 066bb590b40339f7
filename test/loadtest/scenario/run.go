package scenario

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/apptoken/operator/internal/testing/controlplane"
	"github.com/apptoken/operator/test/loadtest/load"
	"github.com/apptoken/operator/test/loadtest/report"
	"github.com/apptoken/operator/test/loadtest/testbed"
)

// Run is one run: its sizes, its results, and the testbed of the current section.
type Run struct {
	Options
	report.Progress
	Report    report.Report
	folder    string // of this run only; removed at its end
	testbed   *testbed.Testbed
	WriteCost float64 // writes per token from declared to Ready and at rest, the declaration included; 0: not measured
}

// NewTestbed tears the current testbed down, and returns a new one without tokens and without an
// operator.
func (b *Run) NewTestbed(ctx context.Context) (*testbed.Testbed, error) {
	if err := b.TearDown(); err != nil {
		return nil, err
	}
	program, err := b.operatorProgram(ctx)
	if err != nil {
		return nil, err
	}
	b.Logf("a control plane starts")
	b.testbed, err = testbed.Start(ctx, testbed.Config{
		Program: program, Folder: b.folder, Clients: b.Clients, Tokens: b.Tokens, MaxCount: b.MaxCount, Probe: b.Options.Probe,
	}, b.Progress)
	if err == nil && b.Report.Kubernetes == "" {
		b.Report.Kubernetes, err = b.testbed.KubernetesVersion(ctx)
	}
	return b.testbed, err
}

// PopulatedTestbed returns a testbed on which all tokens are Ready and everything is at rest. It
// returns the current testbed if that is in this state, and builds another otherwise.
func (b *Run) PopulatedTestbed(ctx context.Context) (*testbed.Testbed, error) {
	if b.testbed != nil && b.WriteCost > 0 && b.testbed.Operator != nil {
		return b.testbed, nil
	}
	s, err := b.NewTestbed(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.StartOperator(ctx); err != nil {
		return nil, err
	}
	before, err := s.Writes(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.DeclareAll(ctx); err != nil {
		return nil, err
	}
	if _, err := s.Tracker.Wait(ctx, "Ready", b.Tokens, testbed.IsReady); err != nil {
		return nil, err
	}
	after, err := s.WaitQuiet(ctx)
	if err != nil {
		return nil, err
	}
	b.WriteCost = float64(after.Since(before).Total()) / float64(b.Tokens)
	return s, nil
}

// operatorProgram returns the path of the operator's program. Without -manager it builds the
// program once a run, so that the current source is measured.
func (b *Run) operatorProgram(ctx context.Context) (string, error) {
	if b.Manager != "" {
		return filepath.Abs(b.Manager)
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
	b.Logf("the operator is built")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", program, ".")
	build.Dir = controlplane.Root()
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the operator: %w\n%s", err, out)
	}
	return program, nil
}

// TearDown tears the testbed down.
func (b *Run) TearDown() error {
	if b.testbed == nil {
		return nil
	}
	err := b.testbed.Teardown()
	b.testbed, b.WriteCost = nil, 0
	return err
}

// Close tears the testbed down, and removes the folder of this run.
func (b *Run) Close() error {
	err := b.TearDown()
	if b.folder != "" {
		err = errors.Join(err, os.RemoveAll(b.folder))
	}
	return err
}

// TurnsLasting returns the plan of a comparison whose turns last as long as turn.
func (b *Run) TurnsLasting(turn time.Duration) load.Turns {
	return load.Turns{Count: b.Turns, Length: turn, Logf: b.Logf}
}
