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

// bench is one run: its sizes, its results, and the stage that the section at work plays on.
type bench struct {
	options
	progress
	report report
	folder string // of this run alone; removed at its end
	stage  *stage
	cost   float64 // writes by which a token of the stage became Ready, its declaration included; 0: none has yet
}

// fresh is a stage with nothing on it. The one before is torn down.
func (b *bench) fresh(ctx context.Context) (*stage, error) {
	if err := b.leave(); err != nil {
		return nil, err
	}
	program, err := b.program(ctx)
	if err != nil {
		return nil, err
	}
	b.say("a control plane starts")
	b.stage, err = build(ctx, program, b.folder, b.options, b.progress)
	if err == nil && b.report.Kubernetes == "" {
		b.report.Kubernetes, err = b.stage.version(ctx)
	}
	return b.stage, err
}

// populated is a stage with all tokens on it, Ready, and everything at rest.
func (b *bench) populated(ctx context.Context) (*stage, error) {
	if b.stage != nil && b.cost > 0 && b.stage.operator != nil {
		return b.stage, nil
	}
	s, err := b.fresh(ctx)
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
	if err := s.apply(ctx); err != nil {
		return nil, err
	}
	if _, err := s.tokens.wait(ctx, "Ready", b.tokens, isReady); err != nil {
		return nil, err
	}
	after, err := s.rest(ctx)
	if err != nil {
		return nil, err
	}
	b.cost = float64(after.since(before).total()) / float64(b.tokens)
	return s, nil
}

// program is the operator's. It is built once, so that what is measured is what the source says.
func (b *bench) program(ctx context.Context) (string, error) {
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
	b.say("the operator is built")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", program, ".")
	build.Dir = cluster.Root()
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the operator: %w\n%s", err, out)
	}
	return program, nil
}

// leave tears the stage down.
func (b *bench) leave() error {
	if b.stage == nil {
		return nil
	}
	err := b.stage.teardown()
	b.stage, b.cost = nil, 0
	return err
}

// end leaves nothing behind.
func (b *bench) end() error {
	err := b.leave()
	if b.folder != "" {
		err = errors.Join(err, os.RemoveAll(b.folder))
	}
	return err
}

// progress tells a person how far it is.
type progress struct {
	to    io.Writer
	began time.Time
}

func (p progress) say(format string, args ...any) {
	fmt.Fprintf(p.to, "%6.1fs  %s\n", time.Since(p.began).Seconds(), fmt.Sprintf(format, args...))
}

// pause waits so long, or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
