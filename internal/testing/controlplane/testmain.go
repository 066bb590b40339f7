package controlplane

import (
	"errors"
	"fmt"
	"os"
	"testing"
)

// Main runs the tests of a package on one control plane, and exits. Before the tests, connect makes
// what they share, such as a client.
func Main(m *testing.M, connect func(*Cluster) error, options ...Option) {
	Run(func(c *Cluster) (int, error) {
		if err := connect(c); err != nil {
			return 1, err
		}
		return m.Run(), nil
	}, options...)
}

// Run starts a control plane, calls run, stops the control plane, and exits with the code that run
// returned. After an error of any of them it prints the error, and exits with 1.
func Run(run func(*Cluster) (int, error), options ...Option) {
	code, err := runOn(run, options)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// runOn calls run with a control plane. It stops the control plane even if run panics.
func runOn(run func(*Cluster) (int, error), options []Option) (code int, err error) {
	c, err := Start(options...)
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()
	return run(c)
}

// StartFor starts a control plane for one test, and stops it when the test ends.
func StartFor(t testing.TB, options ...Option) *Cluster {
	t.Helper()
	c, err := Start(options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Errorf("stop the control plane: %v", err)
		}
	})
	return c
}
