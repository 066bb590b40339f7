package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// report holds all measurements and their environment.
type report struct {
	environment
	Results []*row `json:"results"`

	part string // that is measured now
}

// environment describes what the numbers depend on.
type environment struct {
	Date       time.Time `json:"date"`
	Commit     string    `json:"commit"` // from which this program was built
	CPU        string    `json:"cpu"`
	Cores      int       `json:"cores"`
	Go         string    `json:"go"`
	Kubernetes string    `json:"kubernetes,omitempty"`
}

// row is one measurement.
type row struct {
	Part    string   `json:"part"` // name of one of sections
	Section string   `json:"section"`
	Name    string   `json:"name"`
	Value   float64  `json:"value"`
	Unit    string   `json:"unit"`
	Limit   *float64 `json:"limit,omitempty"` // measured in the same run, in the same unit
	Ratio   *float64 `json:"ratio,omitempty"` // of the value to the limit
	Goal    string   `json:"goal,omitempty"`  // for the ratio or, if there is none, for the value
	Met     *bool    `json:"met,omitempty"`
}

// goal is a condition that a number should meet.
type goal struct {
	text string
	met  func(float64) bool
}

func atLeast(v float64) *goal {
	return &goal{"≥ " + formatNumber(v), func(x float64) bool { return x >= v }}
}

func atMost(v float64) *goal {
	return &goal{"≤ " + formatNumber(v), func(x float64) bool { return x <= v }}
}

func below(v float64) *goal {
	return &goal{"< " + formatNumber(v), func(x float64) bool { return x < v }}
}

// reportSection adds the rows of a section.
type reportSection struct {
	report *report
	name   string
}

// begin makes part the one to which the rows that follow belong.
func (r *report) begin(part string) { r.part = part }

func (r *report) section(section string) reportSection { return reportSection{r, section} }

func (c reportSection) add(name string, value float64, unit string) *row {
	r := &row{Part: c.report.part, Section: c.name, Name: name, Value: value, Unit: unit}
	c.report.Results = append(c.report.Results, r)
	return r
}

func (c reportSection) addGoal(name string, value float64, unit string, g *goal) {
	r := c.add(name, value, unit)
	r.Goal, r.Met = g.text, new(g.met(value))
}

// addRatio adds a number and its limit. The goal applies to their ratio; it may be nil.
func (c reportSection) addRatio(name string, value float64, unit string, limit float64, g *goal) {
	r := c.add(name, value, unit)
	if limit == 0 {
		return
	}
	r.Limit, r.Ratio = &limit, new(value/limit)
	if g != nil {
		r.Goal, r.Met = g.text, new(g.met(*r.Ratio))
	}
}

// addBenchmark adds the time and the allocations of one call.
func (c reportSection) addBenchmark(name string, f func(*testing.B)) {
	result := testing.Benchmark(f)
	c.add(name, float64(result.T.Nanoseconds())/float64(max(1, result.N)), "ns")
	c.add(name+": allocations", float64(result.AllocsPerOp()), "")
}

// addBounded is like benchmark, with goals: at most so many nanoseconds, and no allocation.
func (c reportSection) addBounded(name string, most float64, f func(*testing.B)) {
	result := testing.Benchmark(f)
	c.addGoal(name, float64(result.T.Nanoseconds())/float64(max(1, result.N)), "ns", atMost(most))
	c.addGoal(name+": allocations", float64(result.AllocsPerOp()), "", atMost(0))
}

// print writes all results as Markdown.
func (r *report) print(to io.Writer) {
	fmt.Fprintf(to, "\n%s\n", r.environment)
	writeTables(to, r.Results)
}

// String names the commit, the date, the machine and the versions of a run.
func (e environment) String() string {
	s := fmt.Sprintf("Commit %s, %s, %s, %d cores, %s", e.Commit, e.Date.Format(time.DateOnly), e.CPU, e.Cores, e.Go)
	if e.Kubernetes != "" {
		s += ", Kubernetes " + e.Kubernetes
	}
	return s
}

// writeTables writes a Markdown table for each section.
func writeTables(to io.Writer, rows []*row) {
	section := ""
	for _, row := range rows {
		if row.Section != section {
			section = row.Section
			fmt.Fprintf(to, "\n| %s | measured | limit | ratio or goal | met |\n|---|--:|--:|--:|---|\n", section)
		}
		fmt.Fprintf(to, "| %s | %s | %s | %s | %s |\n", row.Name, strings.TrimSpace(formatNumber(row.Value)+" "+row.Unit), row.limit(), row.goal(), row.met())
	}
}

func (r *row) limit() string {
	if r.Limit == nil {
		return ""
	}
	return formatNumber(*r.Limit) + " " + r.Unit
}

func (r *row) goal() string {
	switch {
	case r.Ratio != nil && r.Goal != "":
		return fmt.Sprintf("%.2f (%s)", *r.Ratio, r.Goal)
	case r.Ratio != nil:
		return fmt.Sprintf("%.2f", *r.Ratio)
	case r.Goal != "":
		return strings.TrimSpace(r.Goal + " " + r.Unit)
	default:
		return ""
	}
}

func (r *row) met() string {
	switch {
	case r.Met == nil:
		return ""
	case *r.Met:
		return "yes"
	default:
		return "no"
	}
}

// save writes the results as JSON.
func (r *report) save(file string) error {
	if file == "" {
		return nil
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}

// formatNumber formats a value with enough digits to compare it.
func formatNumber(v float64) string {
	switch {
	case v == float64(int64(v)) || v >= 1000:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	default:
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
}

func describeMachine() environment {
	e := environment{
		Date: time.Now().UTC().Truncate(time.Second), Commit: builtCommit(),
		CPU: "unknown processor", Cores: runtime.NumCPU(), Go: runtime.Version(),
	}
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return e
	}
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			e.CPU = strings.TrimSpace(strings.TrimLeft(name, "\t :"))
			break
		}
	}
	return e
}
