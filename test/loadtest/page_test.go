package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/apptoken/operator/test/loadtest/report"
)

const pageOfBenchmarks = "../../docs/benchmarks.md"

// figuresOf returns what a page has between the marks of a part.
func figuresOf(t *testing.T, page, part string) string {
	t.Helper()
	_, rest, ok := strings.Cut(page, fmt.Sprintf(report.BeginMark, part))
	figures, _, ended := strings.Cut(rest, report.EndMark)
	if !ok || !ended {
		t.Fatalf("the page has no figures of %s", part)
	}
	return figures
}

func TestPage_EveryPartNamesItsOrigin(t *testing.T) {
	text, err := os.ReadFile(pageOfBenchmarks)
	if err != nil {
		t.Fatal(err)
	}
	from := regexp.MustCompile(`^Commit [0-9a-f]{7,12}, \d{4}-\d{2}-\d{2}, .+, \d+ cores, go1\.\S+[^\n]*\.\n\n\| .+ \|\n`)
	for _, s := range sections {
		if figures := figuresOf(t, string(text), s.name); !from.MatchString(figures) {
			t.Errorf("the figures of %s begin with %.200q, want commit, date, processor, cores, version of Go, and a table", s.name, figures)
		}
	}
}

func TestPage_ReplacesFiguresOfMeasuredPartsOnly(t *testing.T) {
	text, err := os.ReadFile(pageOfBenchmarks)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	r := report.Report{Environment: report.DescribeMachine()}
	for _, part := range []string{"token", "idle"} {
		r.Begin(part)
		r.Table(part).AddGoal("figure of "+part, 7, "ns", report.AtMost(5))
	}
	for range 2 { // the second time, the page is one that was written before
		if err := r.Publish(file, []string{"token"}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if figures := figuresOf(t, string(got), "token"); !strings.Contains(figures, "| figure of token | 7 ns |  | ≤ 5 ns | no |") {
		t.Errorf("the figures of the part that was measured are %q", figures)
	}
	for _, s := range sections {
		if s.name != "token" && figuresOf(t, string(got), s.name) != figuresOf(t, string(text), s.name) {
			t.Errorf("the figures of %s changed, which was not measured", s.name)
		}
	}
}
