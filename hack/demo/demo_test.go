package main

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/testing/controlplane"
	"github.com/apptoken/operator/internal/token"
)

// demoRun holds the programs that were built for a run of the demo, and a folder for all files that
// it leaves behind.
type demoRun struct {
	*testing.T
	demo, manager, folder string
}

func newDemoRun(t *testing.T) *demoRun {
	t.Helper()
	bin := t.TempDir()
	h := &demoRun{t, filepath.Join(bin, "demo"), filepath.Join(bin, "manager"), t.TempDir()}
	for program, source := range map[string]string{h.demo: "./hack/demo", h.manager: "."} {
		build := exec.CommandContext(t.Context(), "go", "build", "-o", program, source)
		build.Dir = controlplane.Root()
		if said, err := build.CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v\n%s", source, err, said)
		}
	}
	return h
}

func (h *demoRun) command(args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(h.Context()), 5*time.Minute)
	h.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, h.demo, append(args, "--manager", h.manager)...)
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "KUBECONFIG=") }), "TMPDIR="+h.folder)
	return cmd
}

// assertNothingLeft asserts that the demo left no file, and no process with a file of the folder in
// its arguments.
func (h *demoRun) assertNothingLeft() {
	h.Helper()
	left, err := os.ReadDir(h.folder)
	if err != nil {
		h.Fatal(err)
	}
	for _, f := range left {
		h.Errorf("%s is left", f.Name())
	}
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		h.Fatal(err)
	}
	for _, p := range processes {
		if line, err := os.ReadFile(p); err == nil && bytes.Contains(line, []byte(h.folder)) {
			h.Errorf("a process is left: %s", bytes.ReplaceAll(line, []byte{0}, []byte(" ")))
		}
	}
}

func TestDemo_RunsToItsEnd(t *testing.T) {
	h := newDemoRun(t)
	said, err := h.command("--once").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	at := 0
	for _, words := range []string{
		"\n1. ", "Deployment", "{.status.conditions", "reporter", "\n2. ", "So the record is that of this token.", "\n3. ", "Version 2", "\n4. ", "The record of version 1 is deleted", "\n5. ", "The next rotation is scheduled",
		"\n6. ", "HTTP/1.1 200 OK", "X-Apptoken-Subject: shop/indexer", "apptoken:shop:indexer", "No resources found in shop namespace.",
		"\n7. ", "HTTP/1.1 401 Unauthorized", "\n8. ", "X-Apptoken-Kind: Login", "X-Apptoken-User: alice", "Everything that was started has ended.",
	} {
		next := bytes.Index(said[at:], []byte(words))
		if next < 0 {
			t.Fatalf("%q does not come, or not in its place:\n%s", words, said)
		}
		at += next
	}
	for range token.Find(said) {
		t.Error("a token is on the screen") // [3.1]
	}
	h.assertNothingLeft()
}

func TestDemo_CtrlCEndsEverything(t *testing.T) {
	h := newDemoRun(t)
	cmd := h.command()
	screen, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stays := false
	for lines := bufio.NewScanner(screen); lines.Scan(); {
		if strings.Contains(lines.Text(), "Ctrl-C ends everything.") {
			stays = true
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err != nil || !stays {
		t.Errorf("it stays: %t; its end: %v", stays, err)
	}
	h.assertNothingLeft()
}
