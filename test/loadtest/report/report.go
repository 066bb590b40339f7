package report

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
)

// Report holds all measurements and their environment.
type Report struct {
	Environment
	Results []*row `json:"results"`

	part string // that is measured now
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

// Table adds the rows of a section.
type Table struct {
	report *Report
	name   string
}

// Begin makes part the one to which the rows that follow belong.
func (r *Report) Begin(part string) { r.part = part }

// Table returns a table of the current part, to which rows are added.
func (r *Report) Table(section string) Table { return Table{r, section} }

// Add adds a number.
func (c Table) Add(name string, value float64, unit string) *row {
	r := &row{Part: c.report.part, Section: c.name, Name: name, Value: value, Unit: unit}
	c.report.Results = append(c.report.Results, r)
	return r
}

// AddGoal adds a number to which a goal applies.
func (c Table) AddGoal(name string, value float64, unit string, g *Goal) {
	r := c.Add(name, value, unit)
	r.Goal, r.Met = g.text, new(g.met(value))
}

// AddRatio adds a number and its limit. The goal applies to their ratio; it may be nil.
func (c Table) AddRatio(name string, value float64, unit string, limit float64, g *Goal) {
	r := c.Add(name, value, unit)
	if limit == 0 {
		return
	}
	r.Limit, r.Ratio = &limit, new(value/limit)
	if g != nil {
		r.Goal, r.Met = g.text, new(g.met(*r.Ratio))
	}
}

// AddBenchmark adds the time and the allocations of one call.
func (c Table) AddBenchmark(name string, f func(*testing.B)) {
	result := testing.Benchmark(f)
	c.Add(name, float64(result.T.Nanoseconds())/float64(max(1, result.N)), "ns")
	c.Add(name+": allocations", float64(result.AllocsPerOp()), "")
}

// AddBounded is like benchmark, with goals: at most so many nanoseconds, and no allocation.
func (c Table) AddBounded(name string, most float64, f func(*testing.B)) {
	result := testing.Benchmark(f)
	c.AddGoal(name, float64(result.T.Nanoseconds())/float64(max(1, result.N)), "ns", AtMost(most))
	c.AddGoal(name+": allocations", float64(result.AllocsPerOp()), "", AtMost(0))
}

// Print writes all results as Markdown.
func (r *Report) Print(to io.Writer) {
	fmt.Fprintf(to, "\n%s\n", r.Environment)
	writeTables(to, r.Results)
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

// Save writes the results as JSON.
func (r *Report) Save(file string) error {
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
